"""Coming and going: sign-in, sign-out, registration, codes by mail, resets."""

import re

import bcrypt
import gevent
import pytest
from fake_mail import Mailbox

from oneapi import access, notify
from oneapi.models import account, code, user

ACCOUNT = {"username": "carol", "password": "correct-horse"}


def sign_in(client, username, password, **headers):
    return client.post("/api/user/login", json={"username": username, "password": password}, headers=headers)


def test_signing_in_sets_a_session_and_says_little(client, alice):
    said = sign_in(client, "alice", alice.password).get_json()
    assert said["success"] and {k: v for k, v in said["data"].items() if v} == {
        "id": alice.id, "username": "alice", "display_name": "alice", "role": 1, "status": 1,
    }  # fmt: skip
    assert client.get("/api/user/self").get_json()["data"]["username"] == "alice"
    assert client.post("/api/user/logout/").get_json() == {"success": True, "message": ""}
    assert client.get("/api/user/self").status_code == 401


@pytest.mark.parametrize(
    "body, message",
    [
        ({"username": "alice", "password": "wrong"}, "用户名或密码错误，或用户已被封禁"),
        ({"username": "nobody", "password": "wrong"}, "用户名或密码错误，或用户已被封禁"),
        ({"username": "alice", "password": ""}, "无效的参数"),
        ({"username": "alice"}, "无效的参数"),
        ({"username": 1, "password": "x"}, "无效的参数"),
        ([], "无效的参数"),
    ],
)
def test_bad_sign_ins(as_, alice, body, message):
    assert as_().refused("POST", "/api/user/login", body) == message


def test_keys_match_in_any_case_and_unknown_ones_are_ignored(as_, alice):
    assert as_()("POST", "/api/user/login", {"UserName": "alice", "PASSWORD": alice.password, "x": []})["success"]


def test_a_disabled_person_cannot_sign_in(as_, alice, state):
    with state.databases.transaction() as session:
        session.get(user.User, alice.id).status = user.Status.DISABLED
    assert (
        as_().refused("POST", "/api/user/login", {"username": "alice", "password": alice.password}).startswith("用户名或密码错误")
    )


def test_an_email_address_signs_in_too(as_, alice, state):
    with state.databases.transaction() as session:
        session.get(user.User, alice.id).email = "alice@example.com"
    assert as_()("POST", "/api/user/login", {"username": "alice@example.com", "password": alice.password})["success"]


def test_password_sign_in_can_be_turned_off(as_, alice, put):
    put(PasswordLoginEnabled="false")
    assert as_().refused("POST", "/api/user/login", {"username": "alice", "password": alice.password}) == "管理员关闭了密码登录"


def test_guessing_at_one_account_ends_in_a_lock(client, alice):
    for _ in range(20):
        assert "Wrong user name" in sign_in(client, "alice", "guess").get_json()["message"]
    locked = sign_in(client, "alice", alice.password)
    assert locked.status_code == 429 and int(locked.headers["Retry-After"]) > 0
    assert sign_in(client, "bob", "guess").status_code == 200


def test_wrong_passwords_count_by_account_whatever_it_is_called(app, alice, state):
    with state.databases.transaction() as session:
        session.get(user.User, alice.id).email = "alice@example.com"
    for n in range(20):
        said = sign_in(app.test_client(), ("alice", "alice@example.com", " alice ")[n % 3], "guess").get_json()
        assert "Wrong user name" in said["message"]
    for name in ("alice", "alice@example.com"):
        assert sign_in(app.test_client(), name, alice.password).status_code == 429


def test_others_who_guess_do_not_keep_the_owner_out(app, alice, bob):
    owner, other = app.test_client(), app.test_client()
    sign_in(owner, "alice", alice.password)
    sign_in(other, "bob", bob.password)  # known to the server, but not for this account
    owner.post("/api/user/logout")
    for client in (app.test_client(), other):
        for _ in range(20):
            sign_in(client, "alice", "guess")
        assert sign_in(client, "alice", alice.password).status_code == 429
    assert sign_in(owner, "alice", alice.password).get_json()["success"]
    for _ in range(20):
        sign_in(owner, "alice", "guess")
    assert sign_in(owner, "alice", alice.password).status_code == 429, "a known browser has a limit of its own"


def test_the_name_of_a_known_browser_cannot_be_made_up(app, alice):
    name = access.cookie_name("device", app)
    owner, forger = app.test_client(), app.test_client()
    sign_in(owner, "alice", alice.password)
    forged = owner.get_cookie(name).value
    forger.set_cookie(name, forged[:-3] + ("aaa" if forged[-3:] != "aaa" else "bbb"))
    for _ in range(20):
        sign_in(forger, "alice", "guess")
    assert sign_in(app.test_client(), "alice", alice.password).status_code == 429, "it counted with everybody else"


def test_guesses_at_the_current_password_count_too(as_, alice):
    for _ in range(20):
        as_(alice).refused("PUT", "/api/user/self", {"password": "another-one", "current_password": "a guess"})
    wanted = {"password": "another-one", "current_password": alice.password}
    assert as_(alice).raw("PUT", "/api/user/self", wanted).status_code == 429


PUBLIC, LOCAL = "203.0.113.9", "192.168.1.20"


@pytest.mark.parametrize(
    ("peer", "forwarded", "status"),
    [
        ("127.0.0.1", "", 200), (LOCAL, "", 200), ("10.1.2.3", "", 200), ("172.16.0.9", "", 200), ("::1", "", 200),
        ("fd00::1", "", 200), (PUBLIC, "", 403), ("2001:db8::1", "", 403), ("172.32.0.1", "", 403), ("100.64.0.1", "", 403),
        ("127.0.0.1", PUBLIC, 403), ("127.0.0.1", LOCAL, 200), (PUBLIC, LOCAL, 403), ("::ffff:203.0.113.9", "", 403),
    ],
)  # fmt: skip
def test_the_first_password_works_only_from_private_networks(app, person, state, peer, forwarded, status):
    root = person("root", role=100, must_change_password=True)
    with state.databases.transaction() as session:
        session.get(user.User, root.id).password = bcrypt.hashpw(b"123456", bcrypt.gensalt(4)).decode()
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    for path in ("/api/user/login",):
        body = {"username": "root", "password": "123456"}
        answer = app.test_client().post(path, json=body, headers=headers, environ_base={"REMOTE_ADDR": peer})
        assert answer.status_code == status, answer.text
        assert status == 200 or "flask reset-root-password" in answer.get_json()["message"]
    with state.databases.transaction() as session:
        session.get(user.User, root.id).password = bcrypt.hashpw(b"of my own", bcrypt.gensalt(4)).decode()
    body = {"username": "root", "password": "of my own"}
    answer = app.test_client().post("/api/user/login", json=body, environ_base={"REMOTE_ADDR": PUBLIC})
    assert answer.get_json()["success"], "a password of one's own works from everywhere"


def test_a_new_password_ends_other_sessions_but_not_this_one(app, alice):
    here, elsewhere = app.test_client(), app.test_client()
    for client in (here, elsewhere):
        sign_in(client, "alice", alice.password)
    wanted = {"password": "another-one", "current_password": alice.password}
    assert here.put("/api/user/self", json=wanted).get_json()["success"]
    assert here.get("/api/user/self").status_code == 200
    assert elsewhere.get("/api/user/self").status_code == 401


@pytest.mark.parametrize("current", [{}, {"current_password": ""}, {"current_password": "a guess"}])
def test_a_new_password_needs_the_current_one(app, as_, alice, current):
    browser = app.test_client()
    sign_in(browser, "alice", alice.password)
    said = browser.put("/api/user/self", json={"password": "another-one"} | current).get_json()
    assert not said["success"] and set(said["errors"]) == {"current_password"}
    assert as_(alice).refused("PUT", "/api/user/self", {"password": "another-one"} | current) == "原密码错误"
    assert sign_in(app.test_client(), "alice", alice.password).get_json()["success"]
    as_(alice).data("PUT", "/api/user/self", {"password": "another-one", "original_password": alice.password})
    assert sign_in(app.test_client(), "alice", "another-one").get_json()["success"]


def test_signing_out_ends_the_session_and_every_copy_of_its_cookie(app, alice):
    here, elsewhere, thief = (app.test_client() for _ in range(3))
    for client in (here, elsewhere):
        sign_in(client, "alice", alice.password)
    name = app.config["SESSION_COOKIE_NAME"]
    thief.set_cookie(name, here.get_cookie(name).value)
    assert thief.get("/api/user/self").status_code == 200
    assert here.post("/api/user/logout").get_json()["success"]
    assert here.get("/api/user/self").status_code == thief.get("/api/user/self").status_code == 401
    assert elsewhere.get("/api/user/self").status_code == 200, "another session of the same account"


def test_an_ended_session_is_forgotten_when_its_cookie_expires(app, alice, state):
    for ended in range(account.MOST_ENDED + 1):
        with state.databases.transaction() as session:
            account.end_session(session, alice.id, f"s{ended}", now=ended * 10, expires_at=ended * 10 + 25)
    with state.databases.transaction() as session:
        row = session.get(user.User, alice.id)
        assert (row.ended_sessions.count(":"), row.session_epoch or 0) == (3, 0)


def test_more_ended_sessions_than_are_remembered_end_all_of_them(app, alice, state):
    client = app.test_client()
    sign_in(client, "alice", alice.password)
    for ended in range(account.MOST_ENDED):
        with state.databases.transaction() as session:
            account.end_session(session, alice.id, f"s{ended}", now=0, expires_at=2**40)
    assert client.get("/api/user/self").status_code == 200
    with state.databases.transaction() as session:
        account.end_session(session, alice.id, "one more", now=0, expires_at=2**40)
    assert client.get("/api/user/self").status_code == 401


def test_every_session_ends_at_once(app, as_, alice):
    here, elsewhere = app.test_client(), app.test_client()
    for client in (here, elsewhere):
        sign_in(client, "alice", alice.password)
    assert here.delete("/api/user/self/sessions").get_json()["success"]
    assert here.get("/api/user/self").status_code == elsewhere.get("/api/user/self").status_code == 401
    assert as_(alice)("GET", "/api/user/self")["success"], "the access token keeps working"


@pytest.mark.parametrize("how", ["own password", "password by an administrator", "reset", "disabled"])
def test_what_ends_sessions_ends_the_access_token_too(app, as_, alice, admin, state, how):
    browser = app.test_client()
    sign_in(browser, "alice", alice.password)
    assert as_(alice)("GET", "/api/user/self")["success"]
    if how == "own password":
        as_(alice).data("PUT", "/api/user/self", {"password": "another-one", "current_password": alice.password})
    elif how == "reset":
        with state.databases.transaction() as session:
            session.get(user.User, alice.id).email = "a@example.com"
            code.issue(session, "reset", "a@example.com", "secret", expires_at=2**40, data=str(alice.id))
        as_().data("POST", "/api/user/reset", {"email": "a@example.com", "token": "secret", "password": "another-one"})
    elif how == "disabled":
        for action in ("disable", "enable"):
            as_(admin).data("POST", "/api/user/manage", {"username": "alice", "action": action})
    else:
        as_(admin).data("PUT", "/api/user/", {"id": alice.id, "password": "another-one"})
    assert browser.get("/api/user/self").status_code == 401
    assert as_(alice).refused("GET", "/api/user/self") == "无权进行此操作，access token 无效"


def test_an_operator_s_access_token_outlives_the_first_password(as_, person):
    root = person("root", role=100, must_change_password=True)
    as_(root).data("PUT", "/api/user/self", {"password": "much-better"})
    assert as_(root)("GET", "/api/option/")["success"]


def test_the_first_root_must_choose_a_password(client, person):
    root = person("root", role=100, must_change_password=True)
    sign_in(client, "root", root.password)
    assert client.get("/api/channel/").status_code == 403
    assert client.get("/api/user/self").status_code == 200
    assert client.get("/api/status").get_json()["success"]
    assert client.put("/api/user/self", json={"display_name": "Boss"}).status_code == 403
    assert client.delete("/api/user/self").status_code == client.post("/api/user/token").status_code == 403
    said = client.put("/api/user/self", json={"password": root.password}).get_json()
    assert not said["success"]
    assert client.put("/api/user/self", json={"password": "much-better"}).get_json()["success"]
    assert client.get("/api/channel/").get_json()["success"]


def test_the_factory_password_leads_to_a_new_one_wherever_it_came_from(app, person, state):
    """E.g. because the Go project, which still runs beside us, made this root."""
    root, clerk = person("root", role=100), person("clerk")
    factory = bcrypt.hashpw(b"123456", bcrypt.gensalt(4)).decode()
    with state.databases.transaction() as session:
        for who in (root, clerk):
            session.get(user.User, who.id).password = factory
    for name, status in (("root", 403), ("clerk", 200)):
        client = app.test_client()
        assert sign_in(client, name, "123456").get_json()["success"]
        assert client.get("/api/token/").status_code == status


def test_registration_makes_an_account_with_a_first_token(as_, client, state, put):
    put(QuotaForNewUser="500")
    assert as_()("POST", "/api/user/register", ACCOUNT) == {"success": True, "message": ""}
    sign_in(client, "carol", "correct-horse")
    me = client.get("/api/user/self").get_json()["data"]
    assert (me["quota"], me["role"], me["group"], me["display_name"], len(me["aff_code"])) == (500, 1, "default", "carol", 4)
    [token] = client.get("/api/token/").get_json()["data"]
    assert (token["name"], token["unlimited_quota"], token["expired_time"], len(token["key"])) == ("default", True, -1, 48)
    assert state.caller(token["key"]).user_id == me["id"]
    [entry] = client.get("/api/log/self?type=4").get_json()["data"]
    assert entry["content"] == "新用户注册赠送 ＄0.001000 额度"


@pytest.mark.parametrize(
    "change, message",
    [
        ({"username": ""}, "无效的输入，请检查您的输入"),
        ({"username": "a" * 13}, "无效的输入，请检查您的输入"),
        ({"password": "short"}, "无效的输入，请检查您的输入"),
        ({"password": "x" * 21}, "无效的输入，请检查您的输入"),
        ({"password": "🐎" * 20}, "无效的输入，请检查您的输入"),
        ({"password": "$I_LOVE_U"}, "无效的输入，请检查您的输入"),
        ({"username": "alice"}, "用户名已被占用"),
        ({"username": 7}, "无效的参数"),
    ],
)
def test_bad_registrations(as_, alice, change, message):
    assert as_().refused("POST", "/api/user/register", ACCOUNT | change) == message


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"RegisterEnabled": "false"}, "管理员关闭了新用户注册"),
        ({"PasswordRegisterEnabled": "false"}, "管理员关闭了通过密码进行注册，请使用第三方账户验证的形式进行注册"),
        ({"EmailVerificationEnabled": "true"}, "管理员开启了邮箱验证，请输入邮箱地址和验证码"),
        ({"TurnstileCheckEnabled": "true", "TurnstileSiteKey": "k"}, "Turnstile token 为空"),
    ],
)
def test_registration_can_be_turned_off(as_, put, settings, message):
    put(**settings)
    assert as_().refused("POST", "/api/user/register", ACCOUNT) == message


def test_both_sides_of_an_invitation_are_rewarded(as_, alice, client, put):
    put(QuotaForInviter="70", QuotaForInvitee="30", QuotaForNewUser="5")
    code_ = as_(alice).data("GET", "/api/user/aff")
    before = as_(alice).data("GET", "/api/user/self")["quota"]
    as_().data("POST", "/api/user/register", ACCOUNT | {"aff_code": code_})
    sign_in(client, "carol", "correct-horse")
    carol = client.get("/api/user/self").get_json()["data"]
    assert (carol["quota"], carol["inviter_id"]) == (35, alice.id)
    assert as_(alice).data("GET", "/api/user/self")["quota"] == before + 70


def test_leaving_and_coming_back_earns_nothing(as_, alice, client, put):
    put(QuotaForInviter="70", QuotaForNewUser="5")
    code_ = as_(alice).data("GET", "/api/user/aff")
    as_().data("POST", "/api/user/register", ACCOUNT)
    sign_in(client, "carol", "correct-horse")
    assert client.delete("/api/user/self").get_json()["success"]
    before = as_(alice).data("GET", "/api/user/self")["quota"]
    as_().data("POST", "/api/user/register", ACCOUNT | {"aff_code": code_})
    sign_in(client, "carol", "correct-horse")
    assert client.get("/api/user/self").get_json()["data"]["quota"] == 0
    assert as_(alice).data("GET", "/api/user/self")["quota"] == before


# Codes by mail


@pytest.fixture
def mailbox(put):
    with Mailbox() as box:
        put(SMTPServer="127.0.0.1", SMTPPort=str(box.port), SMTPFrom="gateway@example.com")
        yield box


def code_in(mail):
    return re.search(r"[0-9a-f]{6}", mail.text).group()


def test_a_code_proves_an_address_once(as_, client, mailbox, put, state):
    put(EmailVerificationEnabled="true")
    assert as_().data("GET", "/api/verification?email=Carol@Example.com") is None
    [mail] = mailbox.mails
    assert mail.to == ["carol@example.com"]
    proven = ACCOUNT | {"email": "carol@example.com", "verification_code": code_in(mail)}
    assert as_().refused("POST", "/api/user/register", proven | {"verification_code": "000000"}) == "验证码错误或已过期"
    as_().data("POST", "/api/user/register", proven)
    assert as_().refused("POST", "/api/user/register", proven | {"username": "dave"}) == "验证码错误或已过期"
    sign_in(client, "carol", "correct-horse")
    assert client.get("/api/user/self").get_json()["data"]["email"] == "carol@example.com"
    known = as_().raw("GET", "/api/verification?email=carol@example.com")
    unknown = as_().raw("GET", "/api/verification?email=dave@example.com")
    assert (known.status_code, known.data) == (unknown.status_code, unknown.data), "it does not tell whether the address is taken"
    told = mailbox.mails[1]
    assert told.to == ["carol@example.com"] and "/reset" in told.text and not issued(state, "email", "carol@example.com")


def test_a_code_is_worth_nothing_after_five_wrong_guesses(as_, mailbox, put):
    put(EmailVerificationEnabled="true")
    as_().data("GET", "/api/verification?email=carol@example.com")
    proven = ACCOUNT | {"email": "carol@example.com", "verification_code": code_in(mailbox.mails[0])}
    for _ in range(code.ATTEMPTS):
        as_().refused("POST", "/api/user/register", proven | {"verification_code": "000000"})
    assert as_().refused("POST", "/api/user/register", proven) == "验证码错误或已过期"


def test_guesses_at_once_are_not_compared_before_they_count(app, as_, mailbox, put, state):
    put(EmailVerificationEnabled="true")
    as_().data("POST", "/api/verification?email=carol@example.com")
    secret, wrong = code_in(mailbox.mails[0]), []
    proven = ACCOUNT | {"email": "carol@example.com"}

    def guess(given):
        wrong.append(as_()("POST", "/api/user/register", proven | {"verification_code": given})["success"])

    gevent.joinall([gevent.spawn(guess, f"{n:06x}") for n in range(20)] + [gevent.spawn(guess, secret)])
    assert len(wrong) == 21 and wrong.count(True) <= 1
    assert as_().refused("POST", "/api/user/register", proven | {"username": "dave", "verification_code": secret})
    with state.databases.transaction() as session:
        left = session.query(code.Code).filter_by(purpose="email").all()
    assert all(row.attempts == code.ATTEMPTS for row in left)


def test_a_taken_user_name_does_not_cost_the_code(as_, alice, mailbox, put):
    put(EmailVerificationEnabled="true")
    as_().data("GET", "/api/verification?email=carol@example.com")
    proven = ACCOUNT | {"email": "carol@example.com", "verification_code": code_in(mailbox.mails[0])}
    for _ in range(code.ATTEMPTS + 1):
        assert as_().refused("POST", "/api/user/register", proven | {"username": "alice"}) == "用户名已被占用"
    as_().data("POST", "/api/user/register", proven)


NO_ADDRESSES = ("", "carol", "carol@", "@b.cc", "a@b@c.dd", "carol@b.cc%0d%0aBcc:x@y.zz", "a%20b@c.dd", "a@b..cc")


@pytest.mark.parametrize("email", NO_ADDRESSES)
def test_what_is_no_address_gets_no_mail(as_, mailbox, email):
    assert as_().refused("GET", f"/api/verification?email={email}") == "无效的参数"
    assert as_().refused("GET", f"/api/reset_password?email={email}") == "无效的参数"
    assert mailbox.mails == []


def test_only_listed_domains_when_restricted(as_, mailbox, put):
    put(EmailDomainRestrictionEnabled="true", EmailDomainWhitelist="Example.com")
    message = "管理员启用了邮箱域名白名单，您的邮箱地址的域名不在白名单中"
    assert as_().refused("GET", "/api/verification?email=carol@elsewhere.com") == message
    as_().data("GET", "/api/verification?email=carol@example.com")


def test_a_mail_server_that_is_not_set_up_is_named(as_):
    assert as_().refused("GET", "/api/verification?email=carol@example.com").startswith("发送邮件失败：")
    assert as_().refused("GET", "/api/reset_password?email=carol@example.com").startswith("发送邮件失败：")


def test_an_email_is_bound_with_its_code(as_, alice, mailbox):
    as_().data("GET", "/api/verification?email=alice@example.com")
    path, mine = "/api/oauth/email/bind?email=alice@example.com&code=", {"password": alice.password}
    assert as_(alice).refused("POST", path + "000000", mine) == "验证码错误或已过期"
    code_ = code_in(mailbox.mails[0])
    assert as_(alice).refused("POST", path + code_) == "原密码错误"
    assert as_(alice).refused("POST", path + code_, {"password": "a guess"}) == "原密码错误"
    assert as_(alice).refused("POST", f"{path}{code_}&password={alice.password}") == "原密码错误", "addresses are logged"
    as_(alice).data("POST", path + code_, mine)
    assert as_(alice).data("GET", "/api/user/self")["email"] == "alice@example.com"


def test_the_old_address_hears_of_a_new_one(as_, alice, mailbox, state):
    with state.databases.transaction() as session:
        session.get(user.User, alice.id).email = "old@example.com"
    as_().data("POST", "/api/verification?email=new@example.com")
    body = {"email": "new@example.com", "code": code_in(mailbox.mails[0]), "password": alice.password}
    as_(alice).data("POST", "/api/oauth/email/bind", body)
    assert notify.drain()
    assert mailbox.mails[1].to == ["old@example.com"] and "new@example.com" in mailbox.mails[1].text


@pytest.fixture
def reset_mail(as_, alice, mailbox, state):
    with state.databases.transaction() as session:
        session.get(user.User, alice.id).email = "a+b@example.com"
    as_().data("GET", "/api/reset_password?email=a%2Bb@example.com")
    assert notify.drain()
    link = re.search(r'href="([^"]+)"', mailbox.mails[0].text).group(1)
    assert link.startswith("http://localhost:3000/user/reset?email=a%2Bb%40example.com&amp;token=")
    return {"email": "a+b@example.com", "token": link.rpartition("=")[2]}


def test_a_reset_link_gives_a_new_password_once(as_, alice, client, reset_mail):
    sign_in(client, "alice", alice.password)
    made = as_().data("POST", "/api/user/reset", reset_mail)
    assert re.fullmatch(r"[0-9a-f]{12}", made)
    assert client.get("/api/user/self").status_code == 401, "the reset ended every session"
    assert as_().refused("POST", "/api/user/reset", reset_mail) == "重置链接非法或已过期"
    assert as_()("POST", "/api/user/login", {"username": "alice", "password": made})["success"]


def test_a_reset_may_choose_the_password_itself(as_, reset_mail):
    assert as_().refused("POST", "/api/user/reset", reset_mail | {"password": "short"}).startswith("输入不合法")
    assert as_().data("POST", "/api/user/reset", reset_mail | {"password": "chosen-one"}) is None
    assert as_()("POST", "/api/user/login", {"username": "alice", "password": "chosen-one"})["success"]


def test_a_reset_does_not_tell_who_is_registered(as_, mailbox):
    assert as_()("GET", "/api/reset_password?email=nobody@example.com") == {"success": True, "message": ""}
    assert notify.drain() and mailbox.mails == []


@pytest.mark.parametrize("body", [{}, {"email": "a@b.cc"}, {"token": "x"}, {"email": "a@b.cc", "token": 1}])
def test_a_reset_needs_address_and_token(as_, body):
    assert as_().refused("POST", "/api/user/reset", body) == "无效的参数"


def test_wrong_reset_tokens_are_counted(as_, reset_mail):
    for _ in range(code.ATTEMPTS):
        as_().refused("POST", "/api/user/reset", reset_mail | {"token": "f" * 32})
    assert as_().refused("POST", "/api/user/reset", reset_mail) == "重置链接非法或已过期"


# What has expired


def issued(state, purpose, *subject):
    with state.databases.transaction() as session:
        rows = session.query(code.Code).filter_by(purpose=purpose)
        return [row.expires_at - state.clock() for row in rows if not subject or row.subject in subject]


def expire(state):
    with state.databases.transaction() as session:
        session.query(code.Code).update({"expires_at": int(state.clock())})


def test_a_code_is_good_for_ten_minutes(as_, alice, mailbox, put, state):
    put(EmailVerificationEnabled="true")
    as_().data("GET", "/api/verification?email=carol@example.com")
    [left] = issued(state, "email")
    assert 590 <= left <= 600
    proven = {"email": "carol@example.com", "verification_code": code_in(mailbox.mails[0])}
    expire(state)
    assert as_().refused("POST", "/api/user/register", ACCOUNT | proven) == "验证码错误或已过期"
    path = f"/api/oauth/email/bind?email=carol@example.com&code={proven['verification_code']}"
    assert as_(alice).refused("POST", path, {"password": alice.password}) == "验证码错误或已过期"
    assert as_(alice).data("GET", "/api/user/self")["email"] == ""


def test_a_code_is_bound_once_and_only_for_its_address(as_, alice, bob, mailbox):
    for address in ("one@example.com", "two@example.com"):
        as_().data("GET", f"/api/verification?email={address}")
    secret = code_in(mailbox.mails[0])

    def bind(who, address):
        body = {"email": address, "code": secret, "password": who.password}
        return as_(who)("POST", "/api/oauth/email/bind", body)

    assert bind(alice, "two@example.com")["message"] == "验证码错误或已过期", "a code of another address"
    assert bind(alice, "one@example.com")["success"]
    assert bind(bob, "one@example.com")["message"] == "验证码错误或已过期", "a second use"


def test_a_reset_link_is_good_for_ten_minutes_and_the_last_one_counts(as_, reset_mail, mailbox, state):
    [left] = issued(state, "reset")
    assert 590 <= left <= 600
    as_().data("GET", "/api/reset_password?email=a%2Bb@example.com")
    assert notify.drain()
    assert as_().refused("POST", "/api/user/reset", reset_mail) == "重置链接非法或已过期", "there is a newer one"
    newer = reset_mail | {"token": re.search(r"token=([0-9a-f]{32})", mailbox.mails[1].text).group(1)}
    expire(state)
    assert as_().refused("POST", "/api/user/reset", newer) == "重置链接非法或已过期"


def test_a_reset_link_dies_with_the_address(as_, admin, alice, reset_mail):
    as_(admin).data("PUT", "/api/user/", {"id": alice.id, "email": "other@example.com"})
    assert as_().refused("POST", "/api/user/reset", reset_mail) == "重置链接非法或已过期"
    assert as_()("POST", "/api/user/login", {"username": "alice", "password": alice.password})["success"]
