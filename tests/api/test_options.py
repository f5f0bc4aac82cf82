"""Settings through the API."""

import json

import pytest
from fake_mail import Mailbox

from oneapi import settings
from oneapi.models import option


def test_every_setting_but_the_secrets_is_listed_as_text(as_, root, put):
    put(SMTPToken="hidden", TurnstileSecretKey="hidden", RetryTimes="3")
    rows = as_(root).data("GET", "/api/option/")
    shown = {row["key"]: row["value"] for row in rows}
    assert set(shown) == {field.stored_as for field in settings.FIELDS if not field.secret}
    assert shown["RetryTimes"] == "3" and shown["LogConsumeEnabled"] == "true" and "hidden" not in json.dumps(rows)
    assert all(isinstance(value, str) for value in shown.values())


@pytest.mark.parametrize(
    "key, value",
    [
        ("RetryTimes", "4"), ("SystemName", "My Gateway"), ("LogConsumeEnabled", "false"), ("ModelRatio", '{"gpt-4o": 1.25}'),
        ("GroupRatio", '{"default": 1, "gold": 0.5}'), ("Theme", "berry"), ("QuotaPerUnit", "1000"), ("SMTPToken", "secret"),
    ],
)  # fmt: skip
def test_a_change_takes_effect_at_once(as_, root, state, key, value):
    assert as_(root)("PUT", "/api/option", {"key": key, "value": value}) == {"success": True, "message": ""}
    field = settings.BY_KEY[key]
    assert getattr(state.settings, field.name) == field.parse(value)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("Theme", "neon", "无效的主题"),
        ("GitHubOAuthEnabled", "true", "无法启用 GitHub OAuth，请先填入 GitHub Client Id 以及 GitHub Client Secret！"),
        ("WeChatAuthEnabled", "true", "无法启用微信登录，请先填入微信登录相关配置信息！"),
        ("TurnstileCheckEnabled", "true", "无法启用 Turnstile 校验，请先填入 Turnstile 校验相关配置信息！"),
        ("OidcEnabled", "true", "无法启用 OIDC，请先填入 OIDC Client Id 以及 Well-Known 地址或各端点地址！"),
        ("Nonsense", "1", "未知的设置项 Nonsense"),
        ("RetryTimes", "many", "RetryTimes：必须是整数，而不是 'many'"),
        ("RetryTimes", "101", "RetryTimes：必须是 0 到 100 之间的数字"),
        ("LogConsumeEnabled", "perhaps", "LogConsumeEnabled：必须是 true 或 false，而不是 'perhaps'"),
        ("ChannelDisableThreshold", "nan", "ChannelDisableThreshold：必须是数字，而不是 'nan'"),
        ("UnknownModelPolicy", "ask", "UnknownModelPolicy：必须是 refuse, 30 之一，而不是 'ask'"),
        ("ModelRatio", "{", None),
        ("ModelRatio", "[1]", "ModelRatio：必须是 JSON 对象（not an object）"),
        ("ModelRatio", '{"gpt-4o": "1"}', "ModelRatio：'gpt-4o' 的值必须是数字"),
        ("CompletionRatio", '{"gpt-4o": true}', "CompletionRatio：'gpt-4o' 的值必须是数字"),
        ("GroupRatio", '{"default": -1}', "GroupRatio：'default' 的值不能为负数"),
        ("GroupLimits", '{"vip": {"rps": 1}}', "GroupLimits：'vip' 的值必须是含有 rpm、tpm 和 concurrency 的对象"),
        ("GroupLimits", '{"vip": {"rpm": -1}}', "GroupLimits：'vip' 的限制必须是整数，0 表示不限制"),
        ("QuotaPerUnit", "0", "QuotaPerUnit：不能小于 1"),
        ("ServerAddress", "localhost", "ServerAddress：必须是以 http:// 或 https:// 开头的地址"),
    ],
)
def test_what_cannot_be_is_not_stored(as_, root, state, key, value, message):
    before = dict(vars(state.settings))
    said = as_(root).refused("PUT", "/api/option/", {"key": key, "value": value})
    assert said and (message is None or said == message)
    assert vars(state.settings) == before
    with state.databases.transaction() as session:
        assert option.all_rows(session) == {}


def test_restricting_domains_needs_domains(as_, root, put):
    put(EmailDomainWhitelist="")
    said = as_(root).refused("PUT", "/api/option/", {"key": "EmailDomainRestrictionEnabled", "value": "true"})
    assert said == "无法启用邮箱域名限制，请先填入限制的邮箱域名！"


@pytest.mark.parametrize("body", [[], {"key": "RetryTimes", "value": 4}, {"key": 1, "value": "4"}])
def test_a_value_that_is_no_text_is_a_bad_request(as_, root, body):
    answer = as_(root).raw("PUT", "/api/option/", body)
    assert (answer.status_code, answer.get_json()) == (400, {"success": False, "message": "无效的参数"})


def test_changes_are_written_down_without_secrets(as_, root):
    for key, value in (("RetryTimes", "4"), ("RetryTimes", "4"), ("SMTPToken", "very secret")):
        as_(root).data("PUT", "/api/option/", {"key": key, "value": value})
    rows = as_(root).data("GET", "/api/audit/?noun=option")
    assert [(row["noun_id"], row["difference"]) for row in rows] == [
        ("SMTPToken", {"SMTPToken": ["", "(hidden)"]}), ("RetryTimes", {"RetryTimes": [None, "4"]}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "key, value, said",
    [
        ("RetryTimes", "many", "Retries: give a whole number, not 'many'."),
        ("GitHubOAuthEnabled", "true", "Fill in GitHub's client id and secret first."),
        ("Theme", "neon", "There is no such theme."),
    ],
)
def test_what_is_wrong_stands_beside_its_key(as_, root, key, value, said):
    answer = as_(root)("PUT", "/api/option/", {"key": key, "value": value}, Accept_Language="en")
    assert answer == {"success": False, "message": said, "errors": {key: said}}


def test_a_test_mail_arrives_or_says_what_the_server_answered(as_, root, put):
    with Mailbox(passwords={"gateway": "right"}) as box:
        put(SMTPServer="localhost", SMTPPort=str(box.port), SMTPFrom="Gate <gateway@example.com>", SMTPAccount="gateway")
        put(SMTPToken="right")
        as_(root).data("POST", "/api/option/test_mail", {"to": "me@example.com"})
        as_(root).data("POST", "/api/option/test_mail", {})
        assert [mail.to for mail in box.mails] == [["me@example.com"], ["gateway@example.com"]]
        put(SMTPToken="wrong")
        said = as_(root)("POST", "/api/option/test_mail", {}, Accept_Language="en")
    assert said["success"] is False and "535 5.7.8 Authentication credentials invalid" in said["message"]


def test_each_setting_knows_who_changed_it_last_and_when(as_, root, state):
    as_(root).data("PUT", "/api/option/", {"key": "RetryTimes", "value": "4"})
    with state.databases.transaction() as session:
        [row] = option.of_keys(session, ["RetryTimes"])
    assert row.updated_by == root.id and abs(row.updated_at - state.clock()) < 5
