"""Signing in through GitHub, Feishu and WeChat: leaving, coming back, accounts, bindings and everything that is refused."""

from urllib.parse import parse_qs, urlsplit

import pytest
from answers import SIGNED_IN, misfit
from bare import PASSWORDS
from ways import enter, session_cookie, signed_in, travel, way_back

from oneapi import login
from oneapi.messages import Refused
from oneapi.models import audit, user

CHINESE = {"Accept-Language": "zh-CN"}


def test_a_stranger_from_github_gets_an_account(client, github, people):
    came = travel(client, "github", next="/wallet")
    row = people(came["id"])
    assert signed_in(client) == row["username"] == f"github_{row['id']}"
    assert (row["github_uid"], row["github_id"], row["display_name"]) == ("583231", "octocat", "The Octocat")
    assert (row["email"], row["email_verified"]) == ("octo@github.test", True)
    assert came["next"] == "/wallet"


def test_what_github_is_asked(client, github):
    travel(client, "github")
    left, exchanged = github.asked[0]["query"], github.asked[1]["values"]
    assert {name: left[name] for name in ("client_id", "scope", "response_type", "code_challenge_method")} == {
        "client_id": "our-app", "scope": "user:email", "response_type": "code", "code_challenge_method": "S256",
    }  # fmt: skip
    assert set(exchanged) == {"client_id", "client_secret", "code", "code_verifier", "grant_type"}


def test_who_comes_again_is_the_same_account_although_renamed(client, app, github, people):
    first = travel(client, "github")["id"]
    github.profile["login"] = "renamed"
    assert travel(app.test_client(), "github")["id"] == first
    github.profile = {"id": 7, "login": "octocat"}  # somebody else takes the old name
    github.emails = []
    assert travel(app.test_client(), "github")["id"] != first


def test_an_account_of_the_old_project_is_known_by_its_login_once(client, app, github, people, change):
    change("alice", github_id="octocat", email="Octo@github.test")
    assert travel(client, "github")["id"] == people(username="alice")["id"]
    assert people(username="alice")["github_uid"] == "583231"
    github.profile["id"], github.emails = 99, []
    assert travel(app.test_client(), "github")["id"] != people(username="alice")["id"]


@pytest.mark.parametrize("email", [None, "", "alice@example.com"])
def test_a_login_name_alone_does_not_open_an_account_of_the_old_project(client, app, github, people, change, email):
    """Names can be renamed, and taken by somebody else."""
    change("alice", github_id="octocat", email=email)
    assert travel(client, "github")["refused"] == "provider_known_by_name"
    assert people(username="alice")["github_uid"] is None and signed_in(client) == ""
    enter(client, "alice", PASSWORDS["alice"])
    assert travel(client, "github")["bound"], "the password proves it once"
    assert travel(app.test_client(), "github")["id"] == people(username="alice")["id"]


@pytest.mark.parametrize(
    "emails",
    [[], [{"email": "x@github.test", "primary": True, "verified": False}], {"message": "Resource not accessible"}, "?"],
)
def test_an_address_that_github_does_not_vouch_for_is_not_kept(client, github, people, emails):
    github.emails = emails
    row = people(travel(client, "github")["id"])
    assert (row["email"], row["email_verified"]) == (None, False)


def test_a_stranger_from_feishu_gets_an_account(client, lark, people):
    row = people(travel(client, "lark")["id"])
    assert (row["username"], row["lark_id"], row["display_name"]) == (f"lark_{row['id']}", "ou_1", "小明")


def test_wechat_people_type_their_code(client, wechat, people):
    answer = client.post("/api/oauth/wechat?code=123456").get_json()
    row = people(answer["data"]["id"])
    assert (row["username"], row["wechat_id"], row["display_name"]) == (f"wechat_{row['id']}", "wx-openid-1", "WeChat User")
    assert signed_in(client) == row["username"]


def test_a_link_with_somebody_elses_wechat_code_does_nothing(client, wechat, people):
    enter(client, "alice", PASSWORDS["alice"])
    assert client.get("/oauth/wechat?code=123456").get_json()["refused"] == "state_differs"
    crossing = {"Sec-Fetch-Site": "cross-site"}
    for path in ("wechat", "wechat/bind"):
        assert client.get(f"/api/oauth/{path}?code=123456", headers=crossing).status_code == 403
    assert people(username="alice")["wechat_id"] is None and wechat.left


@pytest.mark.parametrize("code, said", [("999999", "验证码错误或已过期"), ("", "无效的参数")])
def test_a_wrong_wechat_code_is_refused(client, wechat, code, said):
    answer = client.post(f"/api/oauth/wechat?code={code}", headers=CHINESE).get_json()
    assert answer == {"success": False, "message": said} | ({} if code else {"errors": {"code": said}})


def test_a_wechat_server_that_refuses_us_is_quoted(client, wechat, setting):
    setting(WeChatServerToken="another")
    answer = client.post("/api/oauth/wechat?code=123456", headers=CHINESE).get_json()
    assert answer["message"] == "微信 拒绝了登录：无效的 token"


# The API, for clients that lead the browser themselves


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("name", ["github", "lark", "oidc"])
def test_the_api_signs_in_who_comes_with_its_state(client, request, name, slash):
    provider = request.getfixturevalue(name)
    state = client.get("/api/oauth/state").get_json()["data"]
    code = provider.authorize({"query": {}}, "").partition("code=")[2].partition("&")[0]
    answer = client.get(f"/api/oauth/{name}{slash}?code={code}&state={state}").get_json()
    assert misfit(answer, {"success": True, "message": "", "data": SIGNED_IN}) == ""
    assert answer["data"]["username"] == signed_in(client) != ""
    again = client.get(f"/api/oauth/{name}{slash}?code={code}&state={state}", headers=CHINESE)
    assert (again.status_code, again.get_json()) == (403, {"success": False, "message": "state is empty or not same"})


def test_the_api_binds_who_is_signed_in(client, lark, people):
    enter(client, "alice", PASSWORDS["alice"])
    state = client.get("/api/oauth/state").get_json()["data"]
    code = lark.authorize({"query": {}}, "").partition("code=")[2].partition("&")[0]
    assert client.get(f"/api/oauth/lark?code={code}&state={state}").get_json() == {"success": True, "message": "bind"}
    assert people(username="alice")["lark_id"] == "ou_1"


@pytest.mark.parametrize("name", ["github", "lark", "oidc"])
@pytest.mark.parametrize("query", ["", "code=1", "code=1&state=", "code=1&state=made-up"])
def test_the_api_refuses_a_state_that_is_none_of_this_browser(client, setting, name, query):
    setting(GitHubOAuthEnabled=True, LarkClientId="x", OidcEnabled=True)
    client.get("/api/oauth/state")
    answer = client.get(f"/api/oauth/{name}?{query}")
    assert (answer.status_code, answer.get_json()["message"]) == (403, "state is empty or not same")


# States


def test_a_state_is_good_once_even_when_the_cookie_is_sent_again(client, github):
    back = way_back(client, "github")
    cookie = client.get_cookie(session_cookie(client)).value
    assert client.get(back).status_code == 200
    client.set_cookie(session_cookie(client), cookie)
    assert client.get(back).get_json()["refused"] == "state_differs"


def test_a_state_belongs_to_the_browser_that_began(client, app, github):
    back = way_back(client, "github")
    victim = app.test_client()
    way_back(victim, "github")
    assert victim.get(back).get_json()["refused"] == "state_differs"
    assert signed_in(victim) == ""


def test_a_state_belongs_to_its_provider(client, github, setting):
    setting(LarkClientId="our-app")
    back = way_back(client, "github").replace("/oauth/github", "/oauth/lark")
    assert client.get(back).get_json()["refused"] == "state_differs"


def test_a_state_expires(client, github, state):
    back = way_back(client, "github")
    state.clock.now += login.SECONDS + 1
    assert client.get(back).get_json()["refused"] == "state_differs"


def test_two_tabs_can_sign_in_at_once(client, github):
    first, second = way_back(client, "github"), way_back(client, "github")
    assert client.get(second).status_code == 200
    assert first != second


@pytest.mark.parametrize("where", ["https://evil.test/", "//evil.test", "/\\evil.test", "wallet", "/a\nb"])
def test_people_are_sent_on_only_to_pages_of_ours(client, github, where):
    assert travel(client, "github", next=where)["next"] == ""


# Refusals


def test_a_provider_that_is_off_lets_nobody_in(client, github, setting):
    back = way_back(client, "github")
    setting(GitHubOAuthEnabled=False)
    assert client.get(back).get_json()["said"] == "管理员未开启通过 GitHub 登录以及注册"
    assert client.get("/leave/github").get_json()["refused"] == "provider_off"
    assert client.get("/leave/nobody").get_json()["refused"] == "not_found"
    assert client.get("/leave/wechat").get_json()["said"] == "管理员未开启通过微信登录以及注册"


def test_registration_that_is_closed_is_closed_here_too(client, app, github, setting, change):
    setting(RegisterEnabled=False)
    assert travel(client, "github")["said"] == "管理员关闭了新用户注册"
    change("alice", github_uid="583231")
    assert travel(client, "github")["bound"] is False


@pytest.mark.parametrize("status", [user.Status.DISABLED])
def test_the_banned_stay_out(client, github, change, status):
    change("alice", github_uid="583231", status=status)
    assert travel(client, "github")["said"] == "用户已被封禁"
    assert signed_in(client) == ""


def test_a_closed_account_is_not_entered_again(client, github, people):
    first = travel(client, "github")["id"]
    assert client.delete("/api/user/self").get_json()["success"]
    assert travel(client, "github")["id"] != first


@pytest.mark.parametrize(
    "path, said",
    [
        ("/login/oauth/access_token", "无法连接至 GitHub 服务器，请稍后重试！"),
        ("/user", "无法连接至 GitHub 服务器，请稍后重试！"),
        ("/user/emails", None),
    ],
)
def test_a_provider_that_is_broken_is_named(client, github, path, said):
    github.broken.add(path)
    assert travel(client, "github").get("said") == said


def test_a_provider_that_is_away_is_named(client, lark):
    back = way_back(client, "lark")
    lark.server.stop()
    assert client.get(back).get_json()["said"] == "无法连接至飞书服务器，请稍后重试！"


@pytest.mark.parametrize(
    "profile", [{}, {"id": 1}, {"login": "x"}, {"id": 0, "login": "x"}, {"id": True, "login": "x"}, {"id": "1", "login": " "}, []]
)
def test_an_empty_github_identity_is_refused(client, github, profile):
    github.profile = profile
    assert travel(client, "github")["said"] == "返回值非法，用户字段为空，请稍后重试！"


@pytest.mark.parametrize("profile", [{}, {"open_id": ""}, {"open_id": None}, {"open_id": " "}, {"open_id": "x" * 192}])
def test_an_empty_feishu_identity_is_refused(client, lark, profile):
    lark.profile = profile
    assert travel(client, "lark")["refused"] == "provider_odd"


def test_a_code_that_the_provider_refuses_is_explained(client, github, setting):
    back = way_back(client, "github")
    setting(GitHubClientSecret="outdated")
    assert client.get(back).get_json()["said"] == "GitHub 拒绝了登录：The code passed is incorrect or expired."


def test_who_says_no_at_the_provider_is_told_so(client, github):
    state = parse_qs(urlsplit(client.get("/leave/github").location).query)["state"][0]
    answer = client.get(f"/oauth/github?error=access_denied&state={state}").get_json()
    assert answer["said"] == "GitHub 拒绝了登录：access_denied"


def test_an_address_that_somebody_else_has_must_be_bound_there(client, github, change):
    change("bob", email="octo@github.test", email_verified=True)
    assert travel(client, "github")["refused"] == "provider_email_taken"


# Binding


def test_binding_and_unbinding(client, app, github, people, state):
    enter(client, "alice", PASSWORDS["alice"])
    assert travel(client, "github") == {"id": people(username="alice")["id"], "bound": True, "next": ""}
    assert travel(client, "github")["bound"], "binding again changes nothing"
    assert travel(app.test_client(), "github")["id"] == people(username="alice")["id"]
    assert client.delete("/api/oauth/github").get_json()["success"]
    assert (people(username="alice")["github_uid"], people(username="alice")["github_id"]) == (None, None)
    with state.databases.transaction() as session:
        acts = [row.action for row in session.query(audit.Audit) if row.actor_name == "alice"]
    assert acts == ["user.bind", "user.bind", "user.unbind"]


@pytest.mark.parametrize("name, said", [("github", "该 GitHub 账户已被绑定"), ("lark", "该飞书账户已被绑定")])
def test_an_identity_belongs_to_one_account(client, request, change, name, said):
    request.getfixturevalue(name)
    change("bob", github_uid="583231", lark_id="ou_1")
    enter(client, "alice", PASSWORDS["alice"])
    assert travel(client, name)["said"] == said


def test_a_wechat_identity_belongs_to_one_account(client, wechat, change, people):
    wechat.left["second"] = wechat.left["123456"]
    enter(client, "alice", PASSWORDS["alice"])
    assert client.post("/api/oauth/wechat/bind?code=123456").get_json()["success"]
    assert people(username="alice")["wechat_id"] == "wx-openid-1"
    enter(client, "bob", PASSWORDS["bob"])
    answer = client.post("/api/oauth/wechat/bind?code=second", headers=CHINESE).get_json()
    assert answer["message"] == "该微信账号已被绑定"


def test_a_login_that_the_old_project_kept_for_somebody_else_cannot_be_bound(client, github, change):
    change("bob", github_id="octocat")
    enter(client, "alice", PASSWORDS["alice"])
    assert travel(client, "github")["refused"] == "provider_bound"


def test_taking_an_identity_off_and_coming_back_with_it_earns_nothing(client, app, github, people, setting, state):
    setting(QuotaForNewUser=500)
    first = people(travel(client, "github")["id"])
    assert first["quota"] == 500
    assert client.put("/api/user/self", json={"password": "a-new-password"}).get_json()["success"]
    assert client.delete("/api/oauth/github").get_json()["success"]
    github.emails = []  # the address stays with the first account
    again = people(travel(app.test_client(), "github")["id"])
    assert again["id"] != first["id"] and again["quota"] == 0


def test_who_must_choose_a_password_binds_nothing_before(client, lark, people, change):
    change("root", must_change_password=True)
    enter(client, "root", PASSWORDS["root"])
    state = client.get("/api/oauth/state").get_json()["data"]
    code = lark.authorize({"query": {}}, "").partition("code=")[2].partition("&")[0]
    answer = client.get(f"/api/oauth/lark?code={code}&state={state}", headers=CHINESE)
    assert (answer.status_code, answer.get_json()["message"]) == (403, "请先修改初始密码")
    assert people(username="root")["lark_id"] is None and lark.asked == []
    assert client.post("/api/oauth/wechat/bind?code=1").status_code == client.delete("/api/oauth/lark").status_code == 403


def test_the_last_way_in_stays(client, github, state, people):
    travel(client, "github")
    answer = client.delete("/api/oauth/github", headers=CHINESE).get_json()
    assert answer["message"] == "这是唯一的登录方式，请先设置密码"
    assert client.put("/api/user/self", json={"password": "a-new-password"}).get_json()["success"]
    assert client.delete("/api/oauth/github").get_json()["success"]


def test_nobody_has_the_empty_password_of_a_bound_account(client, app, github, people):
    row = people(travel(client, "github")["id"])
    for password in ("", " ", "x" * 8):
        answer = app.test_client().post("/api/user/login", json={"username": row["username"], "password": password})
        assert not answer.get_json()["success"]


def test_no_provider_shares_its_name_with_another():
    assert {"github", "lark", "oidc", "wechat"} == set(login.PROVIDERS)
    with pytest.raises(Refused):
        login.find(None, "nobody")
