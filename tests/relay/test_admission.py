"""Who may ask: keys in every form of header, their status, expiry, networks and models."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from asks import CHAT, PATH
from fake_vendor import FakeVendor
from flask.testing import FlaskClient
from sqlalchemy import update

from oneapi.models import token, user, version
from oneapi.relay import guesses
from oneapi.state import State


@pytest.fixture
def ask(client: FlaskClient, vendor: FakeVendor, channel: Any) -> Callable[..., Any]:
    channel()

    def post(headers: dict[str, str], *, chinese: bool = False, ip: str = "127.0.0.1", **body: Any) -> Any:
        more = {"Accept-Language": "zh-CN"} if chinese else {}
        return client.post(PATH, json=CHAT | body, headers=headers | more, environ_overrides={"REMOTE_ADDR": ip})

    return post


FORMS = {
    "bearer": {"Authorization": "Bearer sk-{key}"}, "no sk": {"Authorization": "Bearer {key}"},
    "bare": {"Authorization": "sk-{key}"},
    "bare without sk": {"Authorization": "{key}"}, "lower case": {"Authorization": "bearer sk-{key}"},
    "x-api-key": {"x-api-key": "sk-{key}"}, "api-key": {"api-key": "{key}"},
    "x-goog-api-key": {"x-goog-api-key": "sk-{key}"},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_key_is_known_in_every_form_clients_send(ask: Any, alice: Any, form: dict[str, str]) -> None:
    assert ask({name: value.format(key=alice.key) for name, value in form.items()}).status_code == 200


@pytest.mark.parametrize(
    "header", ["", "Bearer ", "Bearer sk-", "Bearer sk-unknown", "Bearer \u00e9\u00e9", "sk-a-b-c", "Bearer " + "x" * 5000]
)
def test_a_key_that_is_none_is_refused(ask: Any, alice: Any, header: str) -> None:
    answer = ask({"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.json["error"]["type"] == "authentication_error" and answer.json["error"]["code"] == "invalid_api_key"


def test_endless_keys_are_refused_without_being_looked_up(client: FlaskClient, state: State) -> None:
    answer = client.post(PATH, json=CHAT, headers={"Authorization": "Bearer sk-" + "x" * 60_000})
    assert answer.status_code == 401 and not state._callers


def test_upper_and_lower_case_are_two_keys(ask: Any, alice: Any) -> None:
    assert ask({"Authorization": f"Bearer {alice.key.upper()}"}).status_code == 401


def test_an_administrator_may_name_the_channel_and_nobody_else(
    ask: Any, alice: Any, admin: Any, channel: Any, vendor: FakeVendor
) -> None:
    named = channel(models="something-else", key="sk-named")
    answer = ask({"Authorization": f"Bearer sk-{alice.key}-{named}"}, chinese=True)
    assert answer.status_code == 403 and "普通用户不支持指定渠道" in answer.json["error"]["message"]
    assert ask({"Authorization": f"Bearer sk-{admin.key}-{named}"}).status_code == 200
    assert vendor.asked[-1].headers["authorization"] == "Bearer sk-named"


@pytest.mark.parametrize(
    ("suffix", "status", "text"), [("999", 400, "无效的渠道 Id"), ("x", 400, "无效的渠道 Id"), ("{off}", 403, "该渠道已被禁用")]
)
def test_a_channel_that_cannot_be_named_is_refused(
    ask: Any, admin: Any, channel: Any, suffix: str, status: int, text: str
) -> None:
    off = channel(status=2)
    answer = ask({"Authorization": f"Bearer sk-{admin.key}-{suffix.format(off=off)}"}, chinese=True)
    assert (answer.status_code, answer.json["error"]["message"].partition(" (request")[0]) == (status, text)


REFUSALS: list[tuple[dict[str, Any], int, str, str]] = [
    ({"status": 2}, 401, "该令牌状态不可用", "The API key is disabled."),
    ({"status": 3}, 401, "该令牌已过期", "The API key has expired."),
    ({"status": 4}, 429, "令牌 eve's（#1）额度已用尽", "The quota of API key eve's is used up."),
    ({"expired_time": 1_000_000}, 401, "该令牌已过期", "The API key has expired."),
    ({"subnet": "10.0.0.0/8"}, 403, "该令牌只能在指定网段使用：10.0.0.0/8，当前 ip：127.0.0.1",
     "This API key may be used only from 10.0.0.0/8; you come from 127.0.0.1."),
    ({"models": "gpt-4o,gpt-4"}, 403, "该令牌无权使用模型：gpt-4o-mini", "This API key may not use the model gpt-4o-mini."),
]  # fmt: skip


@pytest.mark.parametrize(("values", "status", "zh", "en"), REFUSALS, ids=[str(case[0]) for case in REFUSALS])
def test_a_key_that_may_not_says_why_in_both_languages(
    ask: Any, person: Any, state: State, vendor: FakeVendor, values: dict[str, Any], status: int, zh: str, en: str
) -> None:
    eve = person("eve")
    with state.databases.transaction() as session:
        session.execute(update(token.Token).where(token.Token.user_id == eve.id).values(**values))
        version.bump(session, "tokens")
    state.changed()
    for chinese, text in ((True, zh), (False, en)):
        answer = ask(eve.headers, chinese=chinese)
        assert answer.status_code == status
        message, _, id = answer.json["error"]["message"].rpartition(" (request id: ")
        assert (message, id.rstrip(")")) == (text, answer.headers["X-Oneapi-Request-Id"])
    assert vendor.asked == []


def test_a_key_works_until_it_expires(ask: Any, person: Any) -> None:
    assert ask(person("eve", expired_time=int(time.time()) + 100).headers).status_code == 200


@pytest.mark.parametrize("status", [user.Status.DISABLED, user.Status.DELETED])
def test_the_keys_of_a_disabled_person_are_dead(ask: Any, person: Any, state: State, status: int) -> None:
    eve = person("eve")
    assert ask(eve.headers).status_code == 200
    with state.databases.transaction() as session:
        session.execute(update(user.User).where(user.User.id == eve.id).values(status=status))
        version.bump(session, "users")
    state.changed()
    answer = ask(eve.headers, chinese=True)
    assert answer.status_code == 403 and "用户已被封禁" in answer.json["error"]["message"]


NETWORKS = [
    ("127.0.0.0/8", "127.0.0.1", True), ("10.0.0.0/8,192.168.1.7", "192.168.1.7", True),
    ("10.0.0.0/8, 192.168.1.7", "192.168.1.8", False),
    ("fd00::/8", "fd12::1", True), ("fd00::/8", "fe80::1", False), ("10.0.0.0/8", "::ffff:10.1.2.3", True),
    ("0.0.0.0/0", "fd12::1", False), ("10.0.0.1/8", "10.9.9.9", True), ("nonsense", "127.0.0.1", False),
    ("nonsense,127.0.0.1", "127.0.0.1", True), ("10.0.0.0/8", "", False),
]  # fmt: skip


@pytest.mark.parametrize(("subnet", "ip", "allowed"), NETWORKS)
def test_a_key_works_only_in_its_networks(ask: Any, person: Any, subnet: str, ip: str, allowed: bool) -> None:
    assert ask(person("eve", subnet=subnet).headers, ip=ip).status_code == (200 if allowed else 403)


@pytest.mark.parametrize(
    ("peer", "forwarded", "allowed"),
    [("127.0.0.1", "10.1.1.1", True), ("127.0.0.1", "10.1.1.1, 127.0.0.1", True), ("127.0.0.1", "10.1.1.1, 8.8.8.8", False),
     ("8.8.8.8", "10.1.1.1", False), ("127.0.0.1", "nonsense, 10.1.1.1", True), ("127.0.0.1", "", False)],
)  # fmt: skip
def test_only_trusted_proxies_say_where_a_client_is(ask: Any, person: Any, peer: str, forwarded: str, allowed: bool) -> None:
    eve = person("eve", subnet="10.0.0.0/8")
    headers = eve.headers | ({"X-Forwarded-For": forwarded} if forwarded else {})
    assert ask(headers, ip=peer).status_code == (200 if allowed else 403)


def test_a_list_of_models_may_have_blanks(ask: Any, person: Any) -> None:
    eve = person("eve", models=" gpt-4 , gpt-4o-mini ")
    assert ask(eve.headers).status_code == 200


@pytest.mark.parametrize("suffix", ["-0", "-00", "-\u0661", "-x", "-", "-1x", "--1"])
def test_a_suffix_that_is_no_channel_is_refused(ask: Any, admin: Any, vendor: FakeVendor, suffix: str) -> None:
    header = f"Bearer sk-{admin.key}{suffix}".encode().decode("latin-1")
    answer = ask({"Authorization": header})
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "invalid_channel")
    assert vendor.asked == []


def test_wrong_keys_of_an_address_are_limited_and_right_ones_are_not(ask: Any, alice: Any, bob: Any) -> None:
    public = "203.0.113.9"
    for n in range(guesses.MOST):
        assert ask({"Authorization": f"Bearer sk-guess{n}"}, ip=public).status_code == 401
    refused = ask({"Authorization": "Bearer sk-one-more"}, ip=public)
    assert (refused.status_code, refused.json["error"]["code"]) == (429, "too_many_wrong_keys")
    assert 1 <= int(refused.headers["Retry-After"]) <= guesses.SECONDS
    for who in (alice, bob):  # behind the same address
        assert ask(who.headers, ip=public).status_code == 200
    assert ask({"Authorization": "Bearer sk-guess"}, ip="203.0.113.10").status_code == 401, "another address"


def test_right_keys_are_never_counted(ask: Any, alice: Any) -> None:
    for _ in range(guesses.MOST + 1):
        assert ask(alice.headers).status_code == 200
    assert ask({"Authorization": "Bearer sk-guess"}).status_code == 401


def test_wrong_keys_are_forgotten_after_a_minute() -> None:
    now = [100.0]
    counter = guesses.Guesses(lambda: now[0])
    assert [counter.wait("a") for _ in range(guesses.MOST + 1)] == [0] * guesses.MOST + [guesses.SECONDS]
    now[0] += guesses.SECONDS
    assert counter.wait("a") == 0
