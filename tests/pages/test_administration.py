"""Pages of administrators and root: people, codes, settings, first steps, the audit trail in words."""

import re
from typing import Any

import pytest

from oneapi.models.audit import Audit
from oneapi.models.redemption import Redemption
from oneapi.models.token import Token
from oneapi.models.user import User


def test_the_list_of_people_says_when_each_last_asked(browse: Any, admin: Any, alice: Any, bob: Any, state: Any) -> None:
    with state.databases.transaction() as session:
        session.query(Token).filter(Token.user_id == alice.id).update({"accessed_time": int(state.clock()) - 7200})
        session.query(Token).filter(Token.user_id == bob.id).update({"accessed_time": 0})
    said = browse(admin).get("/user").text
    active = re.findall(r'id="user-(\d+)".*?<td class="muted" data-c="active">(.*?)</td>', said, re.DOTALL)
    assert "2 hours ago" in dict(active)[str(alice.id)] and "never" in dict(active)[str(bob.id)]


def test_promotion_is_offered_to_root_alone(browse: Any, admin: Any, root: Any, alice: Any) -> None:
    assert f"/user/{alice.id}/promote" in browse(root).get("/user").text
    assert "/promote" not in browse(admin).get("/user").text


def test_several_people_change_their_group_together(browse: Any, admin: Any, alice: Any, bob: Any) -> None:
    browser = browse(admin)
    browser.post("/user/bulk", action="change", what="group", value="vip", ids=[str(alice.id), str(bob.id)])
    said = browser.get("/user?group=vip").text
    assert "alice" in said and "bob" in said


def test_all_people_that_match_change_and_nobody_above(browse: Any, admin: Any, root: Any, person: Any, state: Any) -> None:
    made = [person(name) for name in ("uno", "due", "tre")]
    browser = browse(admin)
    browser.post("/user/bulk", action="disable", all="1", ids=[str(made[0].id)])
    with state.databases.transaction() as session:
        status = {row.username: row.status for row in session.query(User)}
    assert {status[name] for name in ("uno", "due", "tre")} == {2} and status["rootling"] == status["admin"] == 1


def test_codes_are_filtered_by_batch_and_by_age(browse: Any, admin: Any, state: Any) -> None:
    browser = browse(admin)
    browser.post("/redemption/add", name="spring", quota="1000", count="2")
    browser.post("/redemption/add", name="autumn", quota="1000", count="1")
    with state.databases.transaction() as session:
        session.query(Redemption).filter(Redemption.name == "spring").update({"created_time": int(state.clock()) - 20 * 86400})
    shown = lambda query: len(re.findall(r'id="code-\d+"', browser.get(f"/redemption?{query}").text))  # noqa: E731
    assert [shown(q) for q in ("", "name=spring", "since=7", "since=30", "since=7&name=spring")] == [3, 2, 1, 3, 0]
    assert browser.get("/redemption?format=csv&name=autumn").text.count("autumn") == 1
    browser.post("/redemption/bulk", action="delete", all="1", since="7")
    assert shown("") == 2


@pytest.mark.parametrize(("lang", "words"), [("en", "Channel edited"), ("zh_CN", "渠道 已修改")])
def test_the_audit_trail_speaks_the_readers_language(lang: str, words: str, browse: Any, root: Any, channel: Any) -> None:
    id, browser = channel(), browse(root)
    browser.post(f"/channel/{id}/status")
    browser.client.set_cookie("lang", lang)
    said = browser.get("/audit").text
    assert words in said and f'href="/channel?edit={id}"' in said


@pytest.mark.parametrize(("lang", "words"), [("en", "(hidden)"), ("zh_CN", "（已隐藏）")])
def test_the_audit_trail_hides_secrets_in_the_readers_language(
    lang: str, words: str, browse: Any, root: Any, channel: Any
) -> None:
    browser = browse(root)
    browser.post("/setting/email", SMTPToken="a-password-of-mine", SMTPServer="", SMTPPort="587")
    browser.client.set_cookie("lang", lang)
    said = browser.get("/audit").text
    assert f"<ins>{words}</ins>" in said and "a-password-of-mine" not in said


def test_an_act_nobody_has_words_for_keeps_its_name(browse: Any, root: Any, state: Any) -> None:
    with state.databases.transaction() as session:
        session.add(Audit(created_at=1, actor_id=1, actor_name="x", action="gadget.polish", noun="gadget", noun_id="<b>"))
    said = browse(root).get("/audit").text
    assert "gadget polish" in said and "<b>" not in said


def test_domains_are_written_one_a_line_and_stored_with_commas(browse: Any, root: Any, state: Any) -> None:
    browser = browse(root)
    on = dict.fromkeys(("PasswordLoginEnabled", "PasswordRegisterEnabled", "RegisterEnabled", "SelfDeletionEnabled"), "true")
    browser.post("/setting/sign-in", **on, EmailDomainWhitelist="example.com\nexample.org, example.com")
    assert "example.com\nexample.org</textarea>" in browser.get("/setting/sign-in").text
    assert str(state.settings.email_domain_whitelist).split(",") == ["example.com", "example.org"]


def test_found_settings_say_where_they_live(browse: Any, root: Any) -> None:
    said = browse(root).get("/setting?q=retr").text
    assert 'href="/setting/monitoring">Routing and monitoring</a><label for="f-RetryTimes">' in said


def test_root_confirms_the_address_with_one_button(browse: Any, root: Any, state: Any) -> None:
    browser = browse(root)
    said = browser.get("/dashboard").text
    assert "Use http://localhost<" in said and re.search(r"(\d) / 5", said).group(1) == "1"  # type: ignore[union-attr]
    assert browser.post("/dashboard/address").status_code == 303
    assert state.settings.server_address == "http://localhost"
    said = browser.get("/dashboard").text
    assert "Use http://localhost<" not in said and re.search(r"(\d) / 5", said).group(1) == "2"  # type: ignore[union-attr]
    assert 'href="/channel?add=14"' in said


def test_the_system_page_names_the_database_with_its_version(browse: Any, root: Any) -> None:
    assert re.search(r"SQLite 3\.\d+\.\d+", browse(root).get("/system").text)


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/user?balance={id}", "Balance of alice"),
        ("/group?add=1", "New group"),
        ("/price?add=1", "Price of another model"),
        ("/channel?tests={channel}", "Test models of"),
        ("/channel?add=1&like={channel}", "like #"),
    ],
)
def test_every_drawer_has_an_address(path: str, title: str, browse: Any, root: Any, alice: Any, channel: Any) -> None:
    said = browse(root).get(path.format(id=alice.id, channel=channel())).text
    assert title in said and '<dialog class="drawer" id="drawer"' in said and " open>" in said
