"""The last request of a balance asks for an answer that the balance can pay."""

from typing import Any

import pytest
from fake_vendor import FakeVendor, chat

pytestmark = pytest.mark.usefixtures("books")

MESSAGES = [{"role": "user", "content": "Hi"}]


def asked(vendor: FakeVendor) -> dict[str, Any]:
    return vendor.asked[-1].json


@pytest.mark.parametrize(("quota", "remain"), [(100, None), (10**9, 100)], ids=["balance", "budget of the key"])
def test_an_open_answer_is_limited_to_what_is_left(
    say: Any, vendor: FakeVendor, channel: Any, person: Any, detail: Any, quota: int, remain: int | None
) -> None:
    channel()
    carol = person("carol", quota=quota, remain=remain)
    vendor.says(chat("Hi", 10, 20))
    assert say(who=carol).status_code == 200
    limit = asked(vendor)["max_tokens"]
    assert detail()["reserved"] == 100 and 0.3 * limit <= 100 and limit > 300  # $0.60 for a million: 0.3 each


def test_answers_share_what_is_left(say: Any, vendor: FakeVendor, channel: Any, person: Any) -> None:
    channel()
    vendor.always(chat("Hi", 10, 20))
    say(who=person("carol", quota=100))
    one = asked(vendor)["max_tokens"]
    say(who=person("dave", quota=100), n=4)
    assert asked(vendor)["max_tokens"] == one // 4


@pytest.mark.parametrize("quota", [0, 1, 5])
def test_a_balance_that_pays_for_no_answer_is_refused_with_a_sentence(
    say: Any, vendor: FakeVendor, channel: Any, person: Any, quota: int
) -> None:
    channel()
    said = say(who=person("carol", quota=quota))
    assert said.status_code == 429 and said.json["error"]["code"] == "insufficient_quota"
    assert "user quota is not enough: what is left on this account does not pay for" in said.json["error"]["message"]
    vendor.was_asked(0)


@pytest.mark.parametrize(
    ("kind", "model", "name"),
    [(1, "gpt-4o-mini", "max_tokens"), (1, "gpt-5-mini", "max_completion_tokens"), (50, "gpt-4o-mini", "max_tokens"),
     (36, "deepseek-chat", "max_tokens"), (14, "claude-3-haiku-20240307", "max_tokens")],
)  # fmt: skip
def test_the_limit_has_the_providers_name(
    say: Any, vendor: FakeVendor, channel: Any, person: Any, kind: int, model: str, name: str
) -> None:
    channel(type=kind, models=model)
    say(who=person("carol", quota=100), model=model, max_tokens=None)
    sent = asked(vendor)
    assert 16 <= sent[name] <= 1000
    assert {"max_tokens", "max_completion_tokens"} & {key for key, value in sent.items() if value is not None} == {name}


def test_a_limit_of_the_client_stays(say: Any, vendor: FakeVendor, channel: Any, person: Any) -> None:
    channel()
    vendor.always(chat("Hi", 10, 20))
    carol = person("carol", quota=100)
    say(who=carol, max_tokens=50)
    assert asked(vendor)["max_tokens"] == 50 and "max_completion_tokens" not in asked(vendor)


def test_the_larger_of_two_limits_is_reserved(say: Any, vendor: FakeVendor, channel: Any, person: Any) -> None:
    channel()
    assert say(who=person("carol", quota=100), max_completion_tokens=10, max_tokens=5_000).status_code == 429
    vendor.was_asked(0)


def test_an_ample_balance_sends_what_the_client_sent(say: Any, vendor: FakeVendor, channel: Any) -> None:
    channel()
    vendor.always(chat("Hi", 10, 20))
    for _ in range(2):
        say()
        assert not {"max_tokens", "max_completion_tokens"} & set(asked(vendor))


def test_parallel_requests_share_the_balance(say: Any, vendor: FakeVendor, channel: Any, person: Any, balance: Any) -> None:
    channel()
    carol = person("carol", quota=100)
    for _ in range(3):
        vendor.says(chat("Hi", 10, 20))
        say(who=carol)
        assert asked(vendor)["max_tokens"] * 0.3 <= balance(carol.id) + 10
    assert balance(carol.id) == 100 - 3 * 7


def test_a_limit_that_the_channel_sets_is_lowered(say: Any, vendor: FakeVendor, channel: Any, person: Any) -> None:
    channel(parameters='{"max_tokens": 100000}')
    vendor.says(chat("Hi", 10, 20))
    say(who=person("carol", quota=100))
    assert asked(vendor)["max_tokens"] <= 333
