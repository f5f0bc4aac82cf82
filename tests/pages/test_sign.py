"""The ways in as people walk them: sign-in, first password, codes and links by mail, other providers, Turnstile."""

import html
import re
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from fake_mail import Mailbox

from oneapi.models import code
from oneapi.models.user import User

LINK = re.compile(r">https?://[^/]+(/user/reset\?[^<]+)<")


@pytest.fixture
def mailbox(setting: Callable[..., None]) -> Iterator[Mailbox]:
    with Mailbox() as box:
        setting(SMTPServer="127.0.0.1", SMTPPort=box.port, SMTPFrom="gateway@example.com")
        yield box


@pytest.fixture
def wechat(vendor: Any, setting: Callable[..., None]) -> Any:
    """A WeChat server that knows whoever sends a code as wx-1."""
    setting(WeChatAuthEnabled=True, WeChatServerAddress=vendor.url, WeChatServerToken="secret")
    return vendor.always({"success": True, "message": "", "data": "wx-1"})


def test_a_wrong_password_says_nothing_of_who_exists(browse: Any, alice: Any) -> None:
    browser = browse()
    known = browser.post("/login", username="alice", password="wrong")
    unknown = browser.post("/login", username="nobody", password="wrong")
    assert known.status_code == unknown.status_code == 422
    assert "Wrong user name or password" in known.text and "Wrong user name or password" in unknown.text
    assert 'value="alice"' in known.text and "wrong" not in known.text.replace("Wrong", "")


def test_a_first_password_is_changed_before_anything_else(browse: Any, person: Any) -> None:
    browser = browse(person("newcomer", must_change_password=True))
    assert browser.get("/dashboard").location == browser.get("/token").location == "/password"
    assert browser.post("/password", password="123456", confirm="123456").status_code == 422
    assert browser.post("/password", password="long enough", confirm="another one").status_code == 422
    assert browser.post("/password", password="long enough", confirm="long enough").location == "/dashboard"
    assert browser.get("/dashboard").status_code == 200


def test_nothing_is_linked_before_the_first_password_is_changed(browse: Any, person: Any, wechat: Any, state: Any) -> None:
    newcomer = person("newcomer", must_change_password=True)
    browser = browse(newcomer)
    assert browser.post("/oauth/wechat", code="123").location == "/password"
    with state.databases.transaction() as session:
        assert session.get(User, newcomer.id).wechat_id is None


def test_the_page_of_an_ended_session_says_so(browse: Any) -> None:
    assert "You were signed out" in browse().get("/login?expired=1").text


def test_signing_out_ends_the_session(browse: Any, alice: Any) -> None:
    browser = browse(alice)
    assert browser.post("/logout").location == "/login"
    assert browser.get("/dashboard").status_code == 303


def test_registration_asks_for_a_code_that_was_mailed(browse: Any, mailbox: Mailbox, setting: Any) -> None:
    setting(EmailVerificationEnabled=True)
    browser, form = (
        browse(),
        {"username": "dora", "password": "long enough", "confirm": "long enough", "email": "dora@example.com"},
    )
    asked = browser.post("/register", **form, action="code")
    assert asked.status_code == 200 and 'value="dora"' in asked.text
    code = re.search(r"[0-9a-f]{6}", mailbox.mails[0].text)
    assert code is not None
    assert browser.post("/register", **form, verification_code="000000").status_code == 422
    assert browser.post("/register", **form, verification_code=code.group()).location == "/dashboard"


def test_a_taken_user_name_is_noticed_while_the_form_is_filled_in(browse: Any, alice: Any) -> None:
    browser = browse()
    assert "taken" in browser.send("/register/name", username="alice").text.partition(">")[2]
    assert browser.send("/register/name", username="alicia").text.partition(">")[2].startswith("</p>")
    assert "12" in browser.send("/register/name", username="thirteen char").text


def test_registration_that_is_turned_off_shows_no_form(browse: Any, setting: Any) -> None:
    setting(RegisterEnabled=False)
    assert 'name="username"' not in browse().get("/register").text


def test_whoever_was_invited_registers_with_the_gift(browse: Any, alice: Any, setting: Any, balance: Any) -> None:
    setting(QuotaForInviter=700)
    before, browser = balance(alice.id), browse()
    browser.get("/register?aff=alic")
    browser.post("/register", username="erin", password="long enough", confirm="long enough")
    assert balance(alice.id) == before + 700


def test_a_reset_link_gives_one_new_password(browse: Any, person: Any, mailbox: Mailbox) -> None:
    person("frank", email="frank@example.com", email_verified=True)
    browser = browse()
    known, unknown = (browser.post("/reset", email=f"{name}@example.com") for name in ("frank", "nobody"))
    assert known.status_code == unknown.status_code == 200
    assert known.text.replace("frank@", "nobody@").splitlines() == unknown.text.splitlines()  # nobody learns who is known
    for _ in range(100):
        if mailbox.mails:
            break
        gevent.sleep(0.05)
    link = LINK.search(mailbox.mails[0].text)
    assert link is not None
    page = browser.get(html.unescape(link.group(1))).text
    form = {name: re.search(f'name="{name}"[^>]* value="([^"]*)"', page) for name in ("email", "token")}
    given = {name: found.group(1) for name, found in form.items() if found}
    made = browser.post("/user/reset", **given)
    password = re.search(r"<code[^>]*>([0-9a-f]{12})|>([0-9a-f]{12})<", made.text)
    assert password is not None
    assert browser.post("/user/reset", **given).status_code == 422
    assert browser.post("/login", username="frank", password=password.group(1) or password.group(2)).location == "/dashboard"


def test_turnstile_is_let_in_only_where_it_is_asked_for(browse: Any, setting: Any) -> None:
    browser = browse()
    assert "challenges.cloudflare.com" not in browser.get("/register").headers["Content-Security-Policy"]
    setting(TurnstileCheckEnabled=True, TurnstileSiteKey="site-key", TurnstileSecretKey="secret")
    answer = browser.get("/register")
    assert 'data-sitekey="site-key"' in answer.text
    assert "script-src 'self' https://challenges.cloudflare.com" in answer.headers["Content-Security-Policy"]
    assert browser.post("/register", username="gina", password="long enough", confirm="long enough").status_code == 422


def test_only_providers_that_are_switched_on_have_a_button(browse: Any, setting: Any) -> None:
    browser = browse()
    assert "/oauth/" not in browser.get("/login").text
    setting(GitHubOAuthEnabled=True, GitHubClientId="our-app", GitHubClientSecret="secret")
    assert 'href="/oauth/github/start"' in browser.get("/login").text
    away = browser.get("/oauth/github/start?next=/log").location
    assert away.startswith("https://github.com/login/oauth/authorize?") and "client_id=our-app" in away and "state=" in away


def test_a_provider_that_is_off_leads_back_with_a_sentence(browse: Any) -> None:
    browser = browse()
    assert browser.get("/oauth/github/start").location == "/login"
    assert "turned off" in browser.get("/login").text


def test_a_state_that_is_not_ours_signs_nobody_in(browse: Any, setting: Any) -> None:
    setting(GitHubOAuthEnabled=True, GitHubClientId="our-app", GitHubClientSecret="secret")
    browser = browse()
    assert browser.get("/oauth/github?code=x&state=forged").location == "/login"
    assert browser.get("/dashboard").status_code == 303


def test_a_code_from_wechat_opens_an_account_and_later_the_same_one(browse: Any, wechat: Any) -> None:
    first, second = browse(), browse()
    assert first.post("/oauth/wechat", code="123").location == "/dashboard"
    assert second.post("/oauth/wechat", code="456").location == "/dashboard"
    assert re.search(r"#\d+", first.get("/user/edit").text).group() == re.search(r"#\d+", second.get("/user/edit").text).group()  # type: ignore[union-attr]


def test_a_provider_is_linked_and_unlinked_in_the_profile(browse: Any, alice: Any, wechat: Any) -> None:
    browser = browse(alice)
    assert browser.post("/oauth/wechat", code="123").location == "/user/edit"
    assert "/oauth/wechat/unbind" in browser.get("/user/edit").text
    assert browser.post("/oauth/wechat/unbind").location == "/user/edit"
    assert "/oauth/wechat/unbind" not in browser.get("/user/edit").text


def test_a_link_that_the_old_project_made_is_shown_and_can_be_undone(browse: Any, person: Any, setting: Any) -> None:
    setting(GitHubOAuthEnabled=True, GitHubClientId="our-app", GitHubClientSecret="secret")
    browser = browse(person("octavia", github_id="octocat"))
    assert 'action="/oauth/github/unbind"' in browser.get("/user/edit").text
    browser.post("/oauth/github/unbind")
    assert 'href="/oauth/github/start"' in browser.get("/user/edit").text


def test_mails_and_the_end_of_an_account_ask_for_a_person(
    browse: Any, alice: Any, mailbox: Mailbox, vendor: Any, setting: Any
) -> None:
    browser = browse(alice)
    keys = {"TurnstileSiteKey": "site-key", "TurnstileSecretKey": "secret", "TurnstileVerifyUrl": f"{vendor.url}/siteverify"}
    setting(TurnstileCheckEnabled=True, **keys)
    page = browser.get("/user/edit")
    assert page.text.count('data-sitekey="site-key"') == 2 and 'hx-post="/user/delete"' not in page.text
    assert "https://challenges.cloudflare.com" in page.headers["Content-Security-Policy"]
    refused = browser.post("/user/email", email="me@example.com", action="code")
    assert refused.status_code == 422 and "Turnstile" in refused.text and mailbox.mails == []
    assert browser.post("/user/delete", username="alice").status_code == 422
    human = {"cf-turnstile-response": "human"}
    assert browser.post("/user/email", email="me@example.com", action="code", **human).status_code == 422, "Cloudflare says no"
    vendor.always({"success": True})
    assert browser.post("/user/email", email="me@example.com", action="code", **human).status_code == 200
    assert len(mailbox.mails) == 1 and "data-sitekey" not in browser.get("/user/edit").text
    assert browser.post("/user/delete", username="alice").location == "/", "the session has proven itself"


def test_a_new_email_address_needs_the_password(browse, alice, state):
    with state.databases.transaction() as session:
        code.issue(session, "email", "new@example.com", "secret", expires_at=2**40)
    browser, form = browse(alice), {"email": "new@example.com", "verification_code": "secret"}
    refused = browser.post("/user/email", current_password="a guess", **form)
    assert refused.status_code == 422 and 'id="f-email-password-said"' in refused.text
    assert browser.post("/user/email", current_password=alice.password, **form).status_code == 303
    with state.databases.transaction() as session:
        assert session.get(User, alice.id).email == "new@example.com"


def test_signing_out_everywhere_ends_every_session(browse, alice):
    here, elsewhere = browse(alice), browse(alice)
    assert here.post("/user/sessions").location == "/login"
    assert here.get("/dashboard").status_code == elsewhere.get("/dashboard").status_code == 303


def test_a_page_signs_out_on_the_server(app, browse, alice):
    browser, thief, name = browse(alice), app.test_client(), app.config["SESSION_COOKIE_NAME"]
    thief.set_cookie(name, browser.client.get_cookie(name).value)
    assert thief.get("/dashboard").status_code == 200
    assert browser.post("/logout").location == "/login"
    assert thief.get("/dashboard").status_code == 303


def test_the_sign_in_page_says_from_where_the_first_password_works(app, browse):
    said = "works only from this server and from private networks"
    public = {"environ_base": {"REMOTE_ADDR": "203.0.113.9"}}
    assert said not in browse().get("/login").text
    visitor = browse()
    assert said in visitor.get("/login", **public).text
    form = {"csrf_token": visitor.token, "username": "root", "password": "123456"}
    refused = visitor.client.post("/login", data=form, **public)
    assert refused.status_code == 422 and "flask reset-root-password" in refused.text
    assert visitor.post("/login", username="root", password="123456").location == "/password"
