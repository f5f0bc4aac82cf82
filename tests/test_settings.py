"""Run-time settings: each one declared whole, stored texts read tolerantly, what is typed checked strictly."""

import json
import logging

import pytest

from oneapi import settings
from oneapi.fields import Field, Invalid

# Every option of the old project, with the text that means its default.
OLD = {
    "PasswordLoginEnabled": "true", "PasswordRegisterEnabled": "true", "RegisterEnabled": "true",
    "EmailVerificationEnabled": "false",
    "EmailDomainRestrictionEnabled": "false", "GitHubOAuthEnabled": "false", "GitHubClientId": "", "GitHubClientSecret": "",
    "EmailDomainWhitelist": "gmail.com,163.com,126.com,qq.com,outlook.com,hotmail.com,icloud.com,yahoo.com,foxmail.com",
    "OidcEnabled": "false", "OidcClientId": "", "OidcClientSecret": "", "OidcWellKnown": "", "OidcAuthorizationEndpoint": "",
    "OidcTokenEndpoint": "", "OidcUserinfoEndpoint": "", "LarkClientId": "", "LarkClientSecret": "", "WeChatAuthEnabled": "false",
    "WeChatServerAddress": "", "WeChatServerToken": "", "WeChatAccountQRCodeImageURL": "", "TurnstileCheckEnabled": "false",
    "TurnstileSiteKey": "", "TurnstileSecretKey": "", "SMTPServer": "", "SMTPPort": "587", "SMTPAccount": "", "SMTPFrom": "",
    "SMTPToken": "", "MessagePusherAddress": "", "MessagePusherToken": "", "SystemName": "One API",
    "ServerAddress": "http://localhost:3000", "Logo": "", "Footer": "", "Notice": "", "About": "", "HomePageContent": "",
    "TopUpLink": "", "ChatLink": "", "Theme": "default", "QuotaForNewUser": "0", "QuotaForInviter": "0", "QuotaForInvitee": "0",
    "QuotaRemindThreshold": "1000", "PreConsumedQuota": "500", "QuotaPerUnit": "500000", "DisplayInCurrencyEnabled": "true",
    "DisplayTokenStatEnabled": "true", "LogConsumeEnabled": "true", "ApproximateTokenEnabled": "false", "RetryTimes": "0",
    "ChannelDisableThreshold": "5", "AutomaticDisableChannelEnabled": "false", "AutomaticEnableChannelEnabled": "false",
    "ModelRatio": "{}", "CompletionRatio": "{}", "GroupRatio": '{"default": 1, "vip": 1, "svip": 1}',
}  # fmt: skip


@pytest.mark.parametrize("field", settings.FIELDS, ids=lambda f: f.stored_as)
def test_every_setting_is_declared_whole(field: Field) -> None:
    assert field.label
    assert field.help
    assert field.section in {"site", "sign-in", "notices", "quota", "relay"}
    assert field.accept(field.default) == field.default
    assert field.parse(field.text(field.default)) == field.default


def test_every_option_of_the_old_project_keeps_its_key_and_default() -> None:
    assert {key: settings.BY_KEY[key].text(settings.BY_KEY[key].default) for key in OLD} == OLD


def test_keys_and_names_are_used_once() -> None:
    for names in ([f.stored_as for f in settings.FIELDS], [f.name for f in settings.FIELDS]):
        assert len(set(names)) == len(names)


def test_what_is_secret_never_shows() -> None:
    secret = {f.stored_as for f in settings.FIELDS if f.secret}
    assert secret == {key for key in settings.BY_KEY if key.endswith(("Token", "Secret", "SecretKey"))}
    assert "hush" not in repr(settings.read({"SMTPToken": "hush"}))


def test_stored_texts_are_read() -> None:
    found = settings.read({"RetryTimes": "3", "RegisterEnabled": "false", "GroupRatio": '{"a": 0.5}', "UnknownKey": "kept"})
    assert (found.retry_times, found.register_enabled, found.group_ratio) == (3, False, {"a": 0.5})


def test_a_stored_text_that_does_not_fit_falls_back_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    rows = {"RetryTimes": "three times", "ModelRatio": '{"a": -1}', "QuotaPerUnit": "0"}
    with caplog.at_level(logging.WARNING):
        found = settings.read(rows)
        settings.read(rows)
    assert (found.retry_times, found.model_ratio, found.quota_per_unit) == (0, {}, 500000.0)
    assert [caplog.text.count(f"stored value of {key}") for key in rows] == [1, 1, 1]


def test_the_theme_of_the_environment_counts_until_one_is_chosen() -> None:
    assert settings.read({}, theme="berry").theme == "berry"
    assert settings.read({"Theme": "air"}, theme="berry").theme == "air"


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [
        ("Theme", "dark", "choose one of default, berry, air"),
        ("ModelRatio", "not json", "give a JSON object"),
        ("ModelRatio", "[1]", "give a JSON object"),
        ("GroupRatio", {"a": "1"}, "'a' must be a number"),
        ("GroupRatio", {"a": -0.5}, "must not be negative"),
        ("GroupRatio", '{"a": NaN}', "must be a number"),
        ("ModelRatio", '{"a": Infinity}', "must be a number"),
        ("GroupLimits", {"a": {"rpd": 1}}, "rpm, tpm and concurrency"),
        ("GroupLimits", {"a": {"rpm": -1}}, "whole numbers"),
        ("RetryTimes", "-1", "from 0"),
        ("SMTPPort", "0", "from 1 to 65535"),
        ("ServerAddress", "example.com", "http://"),
        ("QuotaForNewUser", "1.5", "whole number"),
        ("RegisterEnabled", "perhaps", "true or false"),
        ("UnknownModelPolicy", "free", "refuse, 30"),
    ],
)
def test_what_is_typed_is_checked_before_it_is_stored(key: str, value: object, part: str) -> None:
    with pytest.raises(Invalid) as caught:
        settings.stored_text(key, value)
    assert part in str(caught.value)
    assert str(caught.value).startswith(settings.BY_KEY[key].label)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("RegisterEnabled", True), ("GroupRatio", {"组": 1.5}), ("SystemName", "我的"), ("SMTPPort", 25),
        ("ChannelDisableThreshold", 0.25), ("ChannelBalanceThreshold", 1e-07), ("QuotaPerUnit", 2.0**53),
        ("QuotaPerUnit", 500000),
    ],
)  # fmt: skip
def test_stored_texts_come_back_as_they_were(key: str, value: object) -> None:
    stored = settings.stored_text(key, value)
    assert settings.BY_KEY[key].parse(stored) == value
    assert isinstance(stored, str)
    assert json.loads(stored) == value if key == "GroupRatio" else True
