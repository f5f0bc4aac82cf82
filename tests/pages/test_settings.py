"""Settings, prices and groups by their pages."""

from typing import Any

from fake_mail import Mailbox

from oneapi import settings
from oneapi.pages.settings import BY_SLUG, ELSEWHERE, SECTIONS


def test_every_setting_has_one_place() -> None:
    placed = [key for section in SECTIONS for key in section.keys] + [key for keys in ELSEWHERE.values() for key in keys]
    assert sorted(placed) == sorted(f.stored_as for f in settings.FIELDS)


def form(slug: str, state: Any, **changes: str) -> dict[str, str]:
    """What a browser sends of a section's form."""
    fields = [settings.BY_KEY[key] for key in BY_SLUG[slug].keys]
    values = {f.stored_as: f.text(getattr(state.settings, f.name)) for f in fields if not f.secret}
    return {k: v for k, v in values.items() if v != "false"} | changes


def test_a_section_is_saved_as_a_whole(browse: Any, root: Any, state: Any) -> None:
    answer = browse(root).post("/setting/general", **form("general", state, SystemName="Gate", QuotaPerUnit="1000"))
    assert answer.status_code == 303 and state.settings.system_name == "Gate" and state.settings.quota_per_unit == 1000


def test_one_bad_field_saves_nothing_and_says_where(browse: Any, root: Any, state: Any) -> None:
    answer = browse(root).post("/setting/general", **form("general", state, SystemName="Gate", ServerAddress="nonsense"))
    assert answer.status_code == 422 and 'id="f-ServerAddress-said"' in answer.text and 'value="Gate"' in answer.text
    assert state.settings.system_name == "One API"


def test_an_unticked_switch_is_off(browse: Any, root: Any, state: Any) -> None:
    sent = form("sign-in", state)
    sent.pop("RegisterEnabled")
    browse(root).post("/setting/sign-in", **sent)
    assert state.settings.register_enabled is False and state.settings.password_login_enabled is True


def test_a_secret_is_never_shown_and_stays_when_left_empty(browse: Any, root: Any, state: Any, setting: Any) -> None:
    setting(SMTPToken="hush-hush-hush")
    browser = browse(root)
    said = browser.get("/setting/email").text
    assert "hush-hush" not in said and "ends in hush" in said
    browser.post("/setting/email", **form("email", state, SMTPToken=""))
    assert state.settings.smtp_token == "hush-hush-hush"


def test_a_way_in_that_cannot_work_is_not_switched_on(browse: Any, root: Any, state: Any) -> None:
    answer = browse(root).post("/setting/github", **form("github", state, GitHubOAuthEnabled="true"))
    assert answer.status_code == 422 and 'id="f-GitHubOAuthEnabled-said"' in answer.text
    assert state.settings.github_o_auth_enabled is False


def test_all_settings_are_searched_and_saved_from_there(browse: Any, root: Any, state: Any) -> None:
    browser = browse(root)
    said = browser.get("/setting?q=retr").text
    assert 'name="RetryTimes"' in said and 'name="SystemName"' not in said
    browser.post("/setting/search", q="retr", keys="RetryTimes", RetryTimes="2", SystemName="no")
    assert state.settings.retry_times == 2 and state.settings.system_name == "One API"


def test_content_is_previewed_clean(browse: Any, root: Any) -> None:
    said = browse(root).send("/setting/preview", Notice="**bold** <script>x</script>").text
    assert "<strong>bold</strong>" in said and "<script" not in said


def test_a_price_is_set_and_given_back(browse: Any, root: Any, channel: Any, state: Any) -> None:
    channel(models="gpt-4o,my-model")
    browser = browse(root)
    assert "no price" in browser.get("/price?show=unpriced").text
    browser.post("/price/edit", model="my-model", model_ratio="0.5", completion_ratio="2", call_price="")
    assert state.settings.model_ratio == {"my-model": 0.5} and state.settings.completion_ratio == {"my-model": 2}
    browser.post("/price/edit", model="my-model", model_ratio="0.7", then="reset")
    assert state.settings.model_ratio == {} and state.settings.completion_ratio == {}
    assert browser.post("/price/edit", model="my-model", model_ratio="-1").status_code == 422


def test_price_tables_are_pasted_whole_or_not_at_all(browse: Any, root: Any, state: Any) -> None:
    browser = browse(root)
    tables = dict.fromkeys(ELSEWHERE["/price"], "{}")
    bad = browser.post("/price/json", **tables | {"ModelRatio": '{"a": 1}', "CallPrice": '{"a": 1,}'})
    assert bad.status_code == 422 and "remove the comma" in bad.text and state.settings.model_ratio == {}
    assert browser.post("/price/json", **tables | {"ModelRatio": '{"a": 1}', "then": "save"}).status_code == 303
    assert state.settings.model_ratio == {"a": 1} and '"a": 1' in browser.get("/price/export.json").text


def test_a_group_is_made_and_deleted_only_when_empty(browse: Any, root: Any, alice: Any, state: Any) -> None:
    browser = browse(root)
    browser.post("/group/edit", name="team", ratio="0.8", rpm="60")
    assert state.settings.group_ratio["team"] == 0.8 and state.settings.group_limits == {"team": {"rpm": 60}}
    browser.post("/group/delete", name="default")
    assert "default" in state.settings.group_ratio
    browser.post("/group/delete", name="team")
    assert "team" not in state.settings.group_ratio and state.settings.group_limits == {}


def test_acts_leave_an_audit_row_with_the_difference(browse: Any, root: Any, state: Any) -> None:
    browser = browse(root)
    browser.post("/setting/general", **form("general", state, SystemName="Gate"))
    assert "option.update" in browser.get("/audit?q=option").text


def test_the_palette_finds_what_one_may_open(browse: Any, root: Any, alice: Any, channel: Any) -> None:
    channel(name="Paletted")
    assert "Paletted" in browse(root).ask("/palette?q=palett", "found").text
    said = browse(alice).ask("/palette?q=", "found").text
    assert 'href="/token"' in said and 'href="/channel"' not in said
    assert "Paletted" not in browse(alice).ask("/palette?q=palett", "found").text


def test_every_way_of_notices_can_be_tried(browse: Any, root: Any, vendor: Any, setting: Any) -> None:
    browser = browse(root)
    said = browser.get("/setting/notices").text
    assert 'action="/setting/try/push"' in said and 'action="/setting/try/webhook"' in said
    assert 'action="/setting/try/mail"' in browser.get("/setting/email").text
    setting(WebhookUrl=f"{vendor.url}/hook", WebhookSecret="s", MessagePusherAddress=f"{vendor.url}/push")
    vendor.always({"success": True})
    for what, path in (("webhook", "/hook"), ("push", "/push")):
        assert browser.post(f"/setting/try/{what}").location == "/setting/notices"
        assert "The message was handed over" in browser.get("/setting/notices").text and vendor.asked[-1].path == path
    assert vendor.asked[0].json["event"] == "test" and vendor.asked[0].headers["x-oneapi-signature"].startswith("sha256=")
    with Mailbox() as box:
        setting(SMTPServer="127.0.0.1", SMTPPort=box.port, SMTPFrom="gateway@example.com")
        assert browser.post("/setting/try/mail", to="me@example.com").location == "/setting/email"
        assert [(mail.to, mail.subject) for mail in box.mails] == [(["me@example.com"], "A test of One API")]


def test_a_try_that_fails_says_why_at_once(browse: Any, root: Any, vendor: Any, setting: Any) -> None:
    browser = browse(root)
    setting(WebhookUrl=f"{vendor.url}/hook")
    vendor.always({}, status=500)
    browser.post("/setting/try/webhook")
    assert "The webhook answered 500" in browser.get("/setting/notices").text and len(vendor.asked) == 1
    for what in ("mail", "push"):  # nothing is set up
        assert browser.post(f"/setting/try/{what}").status_code == 303
        assert "That failed" in browser.get("/setting/notices").text
    assert browser.post("/setting/try/nonsense").status_code == 404
