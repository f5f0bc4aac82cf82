"""What holds for every page: policy, navigation by role, fragments, errors, languages, plain links."""

import hashlib
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event

from oneapi.pages import recent

TEMPLATES = Path(__file__).resolve().parents[2] / "oneapi" / "templates"
OF_USERS = ("/dashboard", "/token", "/token/add", "/log", "/pricing", "/topup", "/playground", "/user/edit", "/about")
OF_ADMINS = ("/channel", "/channel/add", "/user", "/user/add", "/redemption", "/redemption/add", "/job")
OF_ROOT = ("/setting/general", "/price", "/price/json", "/group", "/audit", "/system", "/dashboard?scope=all")
SECTIONS = (
    "content",
    "quota",
    "limits",
    "monitoring",
    "logs",
    "sign-in",
    "email",
    "github",
    "lark",
    "oidc",
    "wechat",
    "turnstile",
    "notices",
)
OF_VISITORS = ("/", "/about", "/login", "/register", "/reset", "/user/reset?email=a@b.c&token=x", "/pricing")
ALL = (*OF_USERS, *OF_ADMINS, *OF_ROOT, *(f"/setting/{section}" for section in SECTIONS))


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_every_page_opens_for_root(language: str, browse: Any, root: Any, channel: Any) -> None:
    channel()
    browser = browse(root)
    browser.client.set_cookie("lang", language)
    for path in ALL:
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert f'lang="{"zh-CN" if language == "zh_CN" else "en"}"' in answer.text, path
        assert answer.text.count("<h1") == 1, path


def test_every_page_of_visitors_opens(browse: Any) -> None:
    browser = browse()
    for path in OF_VISITORS:
        answer = browser.get(path)
        assert answer.status_code == 200 and answer.text.count("<h1") == 1, path


@pytest.mark.parametrize("path", OF_ADMINS + OF_ROOT[:-1])
def test_a_user_may_not_see_what_administrators_see(path: str, browse: Any, alice: Any) -> None:
    assert browse(alice).get(path).status_code == 403


@pytest.mark.parametrize("path", OF_ROOT[:-1])
def test_an_administrator_may_not_see_what_root_sees(path: str, browse: Any, admin: Any) -> None:
    assert browse(admin).get(path).status_code == 403


def test_navigation_names_only_what_one_may_open(browse: Any, alice: Any, root: Any) -> None:
    assert 'href="/channel"' not in browse(alice).get("/dashboard").text
    assert 'href="/setting"' in browse(root).get("/dashboard").text


def test_a_visitor_is_led_to_sign_in_and_back(browse: Any, alice: Any) -> None:
    browser = browse()
    answer = browser.get("/log?range=7d")
    assert answer.status_code == 303 and answer.location == "/login?next=/log%3Frange%3D7d"
    answer = browser.post("/login", username=alice.username, password=alice.password, next="/log?range=7d")
    assert answer.location == "/log?range=7d"


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_sign_in_leads_nowhere_else(elsewhere: str, browse: Any, alice: Any) -> None:
    answer = browse().post("/login", username=alice.username, password=alice.password, next=elsewhere)
    assert answer.location == "/dashboard"


def test_a_fragment_asked_by_an_expired_session_redirects_the_whole_page(browse: Any) -> None:
    answer = browse().ask("/token", "list")
    assert answer.status_code == 401 and answer.headers["HX-Redirect"].startswith("/login")


def test_htmx_gets_the_block_it_asked_for(browse: Any, alice: Any) -> None:
    browser = browse(alice)
    fragment = browser.ask("/token?q=alice", "list")
    assert fragment.text.lstrip().startswith("<section") and "<html" not in fragment.text
    assert "HX-Target" in fragment.headers["Vary"]
    assert "<html" in browser.ask("/token?q=alice", "main").text


def test_history_and_boosted_pages_are_whole(browse: Any, alice: Any) -> None:
    browser = browse(alice)
    for header in ("HX-Boosted", "HX-History-Restore-Request"):
        answer = browser.client.get("/token", headers={"HX-Request": "true", "HX-Target": "list", header: "true"})
        assert "<html" in answer.text, header


def test_every_page_has_a_strict_policy(browse: Any, root: Any) -> None:
    browser = browse(root)
    for path in (*OF_USERS, "/channel", "/setting/content", "/nothing-here"):
        policy = browser.get(path).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy, path


def test_templates_hold_no_inline_script_or_style() -> None:
    for path in TEMPLATES.rglob("*.html"):
        text = path.read_text()
        assert not re.search(r'\sstyle="|\son[a-z]+="|hx-on|hx-vals=.js:|<style', text), path
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text)), path
        assert not re.search(r'hx-trigger="[^"]*\[', text), path  # a filter in brackets needs eval


def test_a_missing_page_says_so_with_a_request_id(browse: Any, alice: Any) -> None:
    answer = browse(alice).get("/nothing-here")
    assert answer.status_code == 404 and answer.headers["X-Oneapi-Request-Id"] in answer.text


def test_writes_need_the_sessions_token(browse: Any, alice: Any) -> None:
    browser = browse(alice)
    assert browser.client.post("/token/add", data={"name": "x"}).status_code == 403


def test_writes_from_other_sites_are_refused(browse: Any, alice: Any) -> None:
    browser = browse(alice)
    forged = {"Origin": "https://evil.example", "X-CSRF-Token": browser.token}
    assert browser.client.post("/token/add", data={"name": "x"}, headers=forged).status_code == 403


def test_addresses_of_the_old_projects_other_themes_lead_on(browse: Any) -> None:
    assert browse().get("/panel/token").location == "/token"
    assert browse().get("/panel/profile").location == "/user/edit"


def test_static_files_are_named_by_their_content_and_kept(browse: Any) -> None:
    browser = browse()
    address = re.search(r'href="(/static/[0-9a-f]{12}/app.css)"', browser.get("/login").text)[1]  # type: ignore[index]
    answer = browser.get(address, headers={"Accept-Encoding": "gzip"})
    assert "immutable" in answer.headers["Cache-Control"] and answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.data) < 18_000
    assert browser.get("/static/000000000000/../../config.py").status_code == 404


def test_vendored_files_are_those_of_their_packages() -> None:
    folder = TEMPLATES.parent / "static"
    listed = json.loads((folder / "vendor" / "manifest.json").read_text())
    assert {entry["file"]: entry["sha256"] for entry in listed} == {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "vendor").glob("*.js")
    }


def test_the_own_scripts_stay_within_their_budget() -> None:
    scripts = list((TEMPLATES.parent / "static").glob("*.js"))
    assert sum(len(path.read_text().splitlines()) for path in scripts) <= 1500
    assert all(len(path.read_text().splitlines()) <= 100 for path in TEMPLATES.rglob("*.html"))


@pytest.mark.parametrize("path", [p for p in (*OF_USERS, *OF_ADMINS, *OF_ROOT) if p not in ("/about", "/pricing")])
def test_a_page_asks_the_database_few_questions(
    path: str, browse: Any, root: Any, channel: Any, state: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three of its own; the shell asks for the reader, their leases, the broken channels, and root's checklist for two facts.

    The log looks first where its stretch begins, so that what it then asks stays small however long the log is.
    """
    channel()
    browser, asked = browse(root), []
    monkeypatch.setattr(recent, "time", SimpleNamespace(monotonic=lambda: 1000.0))  # no answer is past its time on a slow machine
    browser.get(path)

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            asked.append(statement)

    event.listen(state.databases.engine, "before_cursor_execute", note)
    browser.get(path)
    event.remove(state.databases.engine, "before_cursor_execute", note)
    assert len(asked) <= 3 + 3 + 2 * path.startswith("/dashboard") + (path == "/log"), "\n".join(asked)


def test_a_language_once_chosen_stays_with_the_account(browse: Any, alice: Any) -> None:
    browse(alice).post("/preferences", lang="zh_CN", next="/user/edit")
    assert 'lang="zh-CN"' in browse(alice).get("/dashboard").text


def test_appearance_is_chosen_without_scripts(browse: Any, alice: Any) -> None:
    browser = browse(alice)
    browser.post("/preferences", appearance="dark", next="/dashboard")
    assert 'data-appearance="dark"' in browser.get("/dashboard").text


def test_the_first_password_leads_only_to_a_new_one(browse: Any, person: Any) -> None:
    browser = browse(person("newroot", role=100, must_change_password=True))
    assert browser.get("/dashboard").location == "/password"
    assert browser.post("/password", password="longer than eight", confirm="different").status_code == 422
    answer = browser.post("/password", password="longer than 8", confirm="longer than 8")
    assert answer.status_code == 303 and browser.get("/dashboard").status_code == 200


def test_the_theme_stylesheet_takes_only_what_is_a_value(browse: Any, setting: Any) -> None:
    setting(ThemeAccent="#4f46e5", ThemeRadius="red; } body { display: none", ThemeFont="Georgia, serif")
    css = browse().get("/theme.css").text
    assert "--accent: #4f46e5" in css and "Georgia" in css and "display" not in css


def test_texts_of_administrators_are_cleaned(browse: Any, setting: Any) -> None:
    setting(About='# Hello\n<script>alert(1)</script><p onclick="x()" style="color:red">there</p><a href="javascript:x()">a</a>')
    said = browse().get("/about").text
    body = said[said.index("Hello") :]
    assert "<script>alert" not in body and "onclick" not in body and "javascript:" not in body and "there" in body


def test_an_address_as_home_page_is_framed_and_allowed_by_the_policy(browse: Any, setting: Any) -> None:
    setting(HomePageContent="https://example.com/welcome")
    answer = browse().get("/")
    assert '<iframe class="frame-page" src="https://example.com/welcome"' in answer.text
    assert "frame-src https://example.com" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(("wrong", "near"), [("/tokens", "/token"), ("/Setting", "/setting"), ("/chanel", "/channel")])
def test_a_wrong_address_leads_to_the_page_most_like_it(browse: Any, root: Any, wrong: str, near: str) -> None:
    answer = browse(root).get(wrong)
    assert answer.status_code == 404 and f'href="{near}"' in answer.text.partition('class="big-error"')[2]


def test_a_wrong_address_names_no_page_that_is_not_the_readers(browse: Any, alice: Any) -> None:
    assert 'href="/channel"' not in browse(alice).get("/chanel").text
    assert "Did you mean" not in browse(alice).get("/quite-something-else").text


def test_the_palette_does_things_and_knows_channels_by_number(browse: Any, root: Any, alice: Any, channel: Any) -> None:
    lane = channel(name="the lane")
    assert 'data-post="/channel/test"' in browse(root).ask("/palette?q=test", "found").text
    assert "/channel/test" not in browse(alice).ask("/palette?q=test", "found").text
    assert "the lane" in browse(root).ask(f"/palette?q=%23{lane}", "found").text
    assert "the lane" not in browse(alice).ask(f"/palette?q=%23{lane}", "found").text
    assert "zh_CN" in browse(alice).ask("/palette?q=language", "found").text
