"""What follows from a vendor's failure: another channel, a rest, an end; and who is chosen in the first place."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from asks import CHAT, events, post, words
from fake_vendor import FakeVendor, Say, chat, stream
from flask import Flask
from sqlalchemy import update

from oneapi.models import ability, channel, version
from oneapi.relay import routing
from oneapi.state import State

pytestmark = pytest.mark.usefixtures("books")

DOWN = Say(b"oops", status=500)


@pytest.fixture
def second() -> Iterator[FakeVendor]:
    fake = FakeVendor()
    yield fake
    fake.close()


@pytest.fixture
def pair(channel: Callable[..., int], second: FakeVendor) -> tuple[int, int]:
    """Two channels: the first is tried first."""
    return channel(priority=2, name="first"), channel(priority=1, name="second", base_url=second.url)


def status_of(state: State, id: int) -> int:
    with state.databases.transaction() as session:
        return session.get(channel.Channel, id).status


def settled(state: State, id: int, status: int) -> bool:
    for _ in range(100):
        if status_of(state, id) == status:
            return True
        gevent.sleep(0.02)
    return False


# -- retries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", [False, True])
def test_a_failure_moves_to_the_next_channel_and_is_charged_once(
    say: Any, vendor: FakeVendor, second: FakeVendor, pair: Any, setting: Any, charges: Any, detail: Any, streaming: bool
) -> None:
    setting(RetryTimes=1)
    vendor.says(DOWN)
    second.says(stream("Hi", 100, 0) if streaming else chat("Hi", 100, 0))
    answer = say(stream=streaming)
    assert (words(answer.text.replace("[DONE]", "{}")) if streaming else answer.json["choices"][0]["message"]["content"]) == "Hi"
    assert charges() == [8]
    tries = [(a["channel"], a["status"], a["kind"]) for a in detail()["attempts"]]
    assert tries == [(pair[0], 500, "server"), (pair[1], 200, "")]


BEGINNINGS = {
    "an error event": (b'data: {"error":{"message":"busy","type":"overloaded_error"}}\n\n',),
    "an error event after comments": (b": PROCESSING\n\n", b": PROCESSING\n\n", b'data: {"error":{"message":"busy"}}\n\n'),
    "nothing": (),
    "a web page": (b"<html>Bad gateway</html>",),
}


@pytest.mark.parametrize("pieces", BEGINNINGS.values(), ids=BEGINNINGS)
@pytest.mark.parametrize("mapped", [False, True])
def test_a_stream_that_begins_badly_can_still_go_elsewhere(
    say: Any, vendor: FakeVendor, second: FakeVendor, channel: Any, setting: Any, charges: Any, pieces: Any, mapped: bool
) -> None:
    setting(RetryTimes=1)
    channel(priority=2, model_mapping='{"gpt-4o-mini": "inner"}' if mapped else "")
    channel(priority=1, base_url=second.url)
    vendor.says(pieces, pause=0.01)
    second.says(stream("Hi", 100, 0))
    assert words(say(stream=True).text.replace("[DONE]", "{}")) == "Hi"
    assert charges() == [8]


GIVEN_UP = {"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "Malformed function call: f("}
GEMINI, GEMINI_STREAM = {"type": 24, "models": "gemini-2.5-flash"}, {"model": "gemini-2.5-flash", "stream": True}


def spoken_by_gemini(*candidates: dict[str, Any]) -> tuple[bytes, ...]:
    return tuple(b"data: " + json.dumps({"candidates": [each]}).encode() + b"\r\n\r\n" for each in candidates)


def test_a_converted_stream_that_fails_before_its_first_content_goes_elsewhere(
    say: Any, vendor: FakeVendor, second: FakeVendor, channel: Any, setting: Any
) -> None:
    setting(RetryTimes=1)
    channel(priority=2, **GEMINI), channel(priority=1, base_url=second.url, **GEMINI)
    vendor.says(spoken_by_gemini({"content": {"role": "model"}}, GIVEN_UP))
    second.says(spoken_by_gemini({"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}))
    answer = say(**GEMINI_STREAM)
    assert (answer.status_code, words(answer.text), len(second.asked)) == (200, "Hi", 1)


def test_a_converted_stream_that_fails_after_content_ends_in_its_error(
    say: Any, vendor: FakeVendor, second: FakeVendor, channel: Any, setting: Any
) -> None:
    setting(RetryTimes=1)
    channel(priority=2, **GEMINI), channel(priority=1, base_url=second.url, **GEMINI)
    vendor.says(spoken_by_gemini({"content": {"parts": [{"text": "Hi"}]}}, GIVEN_UP))
    answer = say(**GEMINI_STREAM)
    assert events(answer.text)[-1]["error"]["message"] == "Malformed function call: f(" and second.asked == []


def test_nothing_is_begun_again_after_the_first_byte(
    say: Any, vendor: FakeVendor, second: FakeVendor, pair: Any, setting: Any, charges: Any
) -> None:
    setting(RetryTimes=3)
    vendor.says(stream("one two three", 100, 10)[:3], cut=True)
    answer = say(stream=True)
    assert answer.status_code == 200
    assert events(answer.text)[-1]["error"]["code"] == "stream_broken"
    assert second.asked == [] and len(charges()) == 1


def test_an_error_in_the_middle_of_a_stream_reaches_the_client_and_is_paid_up_to_there(
    say: Any, vendor: FakeVendor, second: FakeVendor, pair: Any, setting: Any, detail: Any
) -> None:
    setting(RetryTimes=3)
    broken = b'data: {"error":{"message":"I broke","type":"server_error"}}\n\n'
    vendor.says((*stream("one two three")[:3], broken), pause=0.02)
    found = events(say(stream=True).text)
    assert any("error" in chunk for chunk in found if isinstance(chunk, dict)) and "[DONE]" not in found
    assert detail()["end"] == "vendor_broke" and second.asked == []


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("between", ["", "\ndata: "])
def test_an_error_in_the_middle_names_nobodys_account(
    served: str, vendor: FakeVendor, channel: Any, alice: Any, usage: bool, between: str
) -> None:
    channel()
    words = "Rate limit reached in organization org-AbCdEf123 for key sk-proj-123456"
    broken = f'data: {{"error":{{{between}"message":"{words}",{between}"type":"server_error"}}}}\n\n'.encode()
    vendor.says((*stream("one two three")[:3], broken), pause=0.02)
    text = post(served, alice.key, CHAT | {"stream": True, "stream_options": {"include_usage": usage}}).body.decode()
    assert "Rate limit reached" in text and "two" in text
    assert "AbCdEf123" not in text and "123456" not in text


@pytest.mark.parametrize(
    ("status", "body", "client_sees"),
    [
        (400, {"error": {"message": "bad parameter", "code": "invalid_value", "param": "top_p"}}, (400, "invalid_value")),
        (413, {"error": {"message": "too long"}}, (400, "context_length_exceeded")),
        (422, {"error": {"message": "no"}}, (422, "invalid_request")),
        (400, {"error": {"message": "no", "code": "content_filter"}}, (400, "content_filter")),
    ],
)
def test_what_the_client_did_wrong_is_neither_tried_again_nor_held_against_the_channel(
    say: Any, vendor: FakeVendor, second: FakeVendor, pair: Any, setting: Any, app: Flask,
    status: int, body: dict[str, Any], client_sees: tuple[int, str],
) -> None:  # fmt: skip
    setting(RetryTimes=3)
    vendor.says(body, status=status)
    answer = say()
    assert (answer.status_code, answer.json["error"]["code"]) == client_sees
    assert second.asked == []
    assert not app.extensions["oneapi.relay"].health._rests
    assert say().status_code == 200 and len(vendor.asked) == 2


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (Say(b"{}", status=401), 502, "vendor_auth_failed"), (Say(b"{}", status=402), 502, "vendor_quota_exhausted"),
        (Say(b"{}", status=403), 502, "vendor_auth_failed"), (Say(b"{}", status=404), 404, "model_not_found"),
        (Say(b"{}", status=429), 429, "rate_limit_exceeded"), (Say(b"{}", status=500), 502, "vendor_error"),
        (Say(b"{}", status=503), 503, "vendor_overloaded"), (Say(b"{}", status=504), 504, "vendor_timeout"),
        (Say(b"<html>"), 502, "vendor_answer_garbled"),
    ],
)  # fmt: skip
def test_the_client_reads_whose_fault_it_was(
    say: Any, vendor: FakeVendor, channel: Any, reply: Say, status: int, code: str
) -> None:
    channel()
    vendor.says(reply)
    answer = say()
    assert (answer.status_code, answer.json["error"]["code"]) == (status, code)


def test_every_channel_is_tried_once_and_no_more_often_than_the_setting_says(
    say: Any, vendor: FakeVendor, second: FakeVendor, channel: Any, setting: Any
) -> None:
    for number in range(4):
        channel(name=str(number), key=f"sk-{number}")
    vendor.always(DOWN)
    setting(RetryTimes=2)
    assert say().status_code == 502
    assert len({a.headers["authorization"] for a in vendor.asked}) == len(vendor.asked) == 3
    vendor.asked.clear()
    setting(RetryTimes=20)
    assert say().status_code == 502
    assert len({a.headers["authorization"] for a in vendor.asked}) == len(vendor.asked) == 4


def test_without_retries_the_first_failure_is_the_answer(say: Any, vendor: FakeVendor, second: FakeVendor, pair: Any) -> None:
    vendor.says(DOWN)
    assert say().status_code == 502
    assert second.asked == []


def test_a_pinned_channel_is_not_left(
    say: Any, vendor: FakeVendor, second: FakeVendor, pair: Any, setting: Any, admin: Any, client: Any
) -> None:
    setting(RetryTimes=3)
    second.says(DOWN)
    headers = {"Authorization": f"Bearer sk-{admin.key}-{pair[1]}"}
    assert say(headers=headers).status_code == 502
    assert vendor.asked == [] and len(second.asked) == 1


def test_our_own_refusals_are_not_retried(
    say: Any, vendor: FakeVendor, second: FakeVendor, pair: Any, setting: Any, person: Any
) -> None:
    setting(RetryTimes=3)
    assert say(who=person("poor", quota=0), max_tokens=100).status_code == 429
    assert vendor.asked == [] and second.asked == []


def test_a_vendors_secrets_do_not_reach_the_client(say: Any, vendor: FakeVendor, channel: Any) -> None:
    channel(key="sk-topsecret-0123456789")
    text = "Key sk-topsecret-0123456789 of org-abcdefgh at 127.0.0.1 has a bad top_p"
    vendor.says({"error": {"message": text}}, status=400)
    message = say().json["error"]["message"]
    assert "topsecret" not in message and "abcdefgh" not in message and "127.0.0.1" not in message and "bad top_p" in message


# -- rests ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_a_channel_that_is_busy_rests_as_long_as_it_asked_for(
    say: Any, vendor: FakeVendor, second: FakeVendor, pair: Any, setting: Any, status: int
) -> None:
    setting(RetryTimes=1)
    vendor.says(b"{}", status=status, headers={"Retry-After": "1"})
    assert say().status_code == 200
    assert say().status_code == 200
    assert (len(vendor.asked), len(second.asked)) == (1, 2)
    gevent.sleep(1.1)
    say()
    assert (len(vendor.asked), len(second.asked)) == (2, 2)


def test_the_client_is_told_when_to_come_back(say: Any, vendor: FakeVendor, channel: Any) -> None:
    channel()
    vendor.says(b"{}", status=429, headers={"Retry-After": "7"})
    answer = say(headers={"Accept-Language": "zh-CN"})
    assert answer.headers["Retry-After"] == "7" and "当前分组上游负载已饱和" in answer.json["error"]["message"]


def test_when_all_rest_one_is_tried_all_the_same(say: Any, vendor: FakeVendor, channel: Any) -> None:
    channel()
    vendor.says(b"{}", status=429, headers={"Retry-After": "60"})
    assert say().status_code == 429
    assert say().status_code == 200


def test_one_resting_key_of_several_does_not_rest_the_channel(say: Any, vendor: FakeVendor, channel: Any) -> None:
    channel(key="sk-a\nsk-b\nsk-c")
    vendor.says(b"{}", status=429)
    for _ in range(7):
        say()
    used = [a.headers["authorization"][-1] for a in vendor.asked]
    bad = used[0]
    assert bad not in used[1:] and Counter(used[1:]) == dict.fromkeys({"a", "b", "c"} - {bad}, 3)


def test_a_channel_switched_on_again_does_not_rest_any_more(
    say: Any, vendor: FakeVendor, second: FakeVendor, pair: Any, setting: Any, state: State
) -> None:
    setting(RetryTimes=1)
    vendor.says(b"{}", status=429, headers={"Retry-After": "600"})
    say()
    for becomes in (channel.Status.DISABLED, channel.Status.ENABLED):
        with state.databases.transaction() as session:
            session.execute(update(channel.Channel).where(channel.Channel.id == pair[0]).values(status=becomes))
            ability.set_enabled(session, pair[0], becomes == channel.Status.ENABLED)
            version.bump(session, "channels")
        state.changed()
    say()
    assert (len(vendor.asked), len(second.asked)) == (2, 1)


# -- disabling --------------------------------------------------------------------------------------------------------

ACCOUNT_IS_GONE = [
    (401, {"error": {"message": "Incorrect API key"}}),
    (403, {"error": {"message": "no", "type": "permission_error"}}),
    (429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}),
    (402, {"error": {"message": "pay"}}),
    (400, {"error": {"message": "gone", "code": "account_deactivated"}}),
]
ONLY_SOUNDS_LIKE_IT = [
    (400, {"error": {"message": "Your credit balance is too low"}}),
    (403, {"error": {"message": "Forbidden by a firewall: credit, balance, quota"}}),
    (429, {"error": {"message": "quota of requests per minute exceeded", "code": "rate_limit_exceeded"}}),
    (500, {"error": {"message": "invalid_api_key lookup failed"}}),
]


@pytest.mark.parametrize(("status", "body"), ACCOUNT_IS_GONE)
def test_a_channel_whose_account_is_gone_is_disabled_when_the_setting_says_so(
    say: Any, vendor: FakeVendor, pair: Any, setting: Any, state: State, status: int, body: dict[str, Any]
) -> None:
    setting(AutomaticDisableChannelEnabled=True, RetryTimes=1)
    vendor.says(body, status=status)
    say()
    assert settled(state, pair[0], channel.Status.AUTO_DISABLED)
    assert status_of(state, pair[1]) == channel.Status.ENABLED


@pytest.mark.parametrize(("status", "body"), ONLY_SOUNDS_LIKE_IT)
def test_words_in_a_message_disable_nothing(
    say: Any, vendor: FakeVendor, channel: Any, setting: Any, state: State, status: int, body: dict[str, Any]
) -> None:
    setting(AutomaticDisableChannelEnabled=True)
    made = channel()
    vendor.says(body, status=status)
    say()
    gevent.sleep(0.1)
    assert status_of(state, made) == 1


def test_nothing_is_disabled_when_the_setting_is_off(say: Any, vendor: FakeVendor, channel: Any, state: State) -> None:
    made = channel()
    vendor.says(b"{}", status=401)
    say()
    gevent.sleep(0.1)
    assert status_of(state, made) == 1


def test_one_bad_key_of_several_rests_and_the_channel_goes_on(
    say: Any, vendor: FakeVendor, channel: Any, setting: Any, state: State
) -> None:
    setting(AutomaticDisableChannelEnabled=True)
    made = channel(key="sk-a\nsk-b")
    vendor.says(b"{}", status=401)
    assert say().status_code == 502
    assert [say().status_code for _ in range(4)] == [200] * 4
    assert len({a.headers["authorization"] for a in vendor.asked[1:]}) == 1
    assert status_of(state, made) == 1


def test_what_a_person_disabled_is_not_touched(state: State, channel: Any) -> None:
    from oneapi.relay.health import set_status

    made = channel(status=2)
    assert not set_status(state, made, 1, 3, "a late failure")
    assert not set_status(state, made, 3, 1, "a test that passed")
    assert status_of(state, made) == 2


class TestSuccessRate:
    @pytest.fixture
    def settings_of_environment(self, settings_of_environment: dict[str, str]) -> dict[str, str]:
        metric = {"ENABLE_METRIC": "true", "METRIC_QUEUE_SIZE": "5", "METRIC_SUCCESS_RATE_THRESHOLD": "0.5"}
        return settings_of_environment | metric

    def test_a_channel_that_mostly_fails_is_disabled(self, say: Any, vendor: FakeVendor, channel: Any, state: State) -> None:
        made = channel()
        vendor.says(chat(), DOWN, chat(), DOWN)
        for _ in range(4):
            say()
        gevent.sleep(0.05)
        assert status_of(state, made) == 1
        vendor.says(DOWN)
        say()
        assert settled(state, made, 3)

    def test_what_clients_do_wrong_does_not_count(self, say: Any, vendor: FakeVendor, channel: Any, state: State) -> None:
        made = channel()
        vendor.always(b"{}", status=400)
        for _ in range(8):
            say()
        gevent.sleep(0.05)
        assert status_of(state, made) == 1


# -- choosing ---------------------------------------------------------------------------------------------------------


def test_a_higher_priority_comes_first(say: Any, vendor: FakeVendor, second: FakeVendor, channel: Any) -> None:
    channel(priority=-1, base_url=second.url)
    channel(priority=0)
    channel(priority=-5, base_url=second.url)
    for _ in range(10):
        say()
    assert len(vendor.asked) == 10


@pytest.mark.parametrize(("weights", "shares"), [((3, 1), (0.75, 0.25)), ((0, 0), (0.5, 0.5)), ((5, 0), (1.0, 0.0))])
def test_within_a_priority_the_weight_decides(
    say: Any, channel: Any, vendor: FakeVendor, second: FakeVendor, app: Flask, weights: Any, shares: tuple[float, float]
) -> None:
    channel(weight=weights[0])
    channel(weight=weights[1], base_url=second.url)
    steps = iter([step / 40 for step in range(40)])
    app.extensions["oneapi.relay"].chance = lambda: next(steps)
    for _ in range(40):
        say()
    assert (len(vendor.asked) / 40, len(second.asked) / 40) == shares


def test_a_group_sees_only_its_own_channels(say: Any, vendor: FakeVendor, second: FakeVendor, channel: Any, person: Any) -> None:
    channel(group="vip", base_url=second.url, priority=9)
    channel(group="default")
    say()
    say(who=person("vera", group="vip"))
    assert (len(vendor.asked), len(second.asked)) == (1, 1)


def test_a_channel_that_does_not_offer_the_kind_is_passed_over(say: Any, vendor: FakeVendor, channel: Any) -> None:
    channel(type=14, priority=5, models="gpt-4o-mini", base_url="http://127.0.0.1:9")  # speaks of no embeddings
    channel(priority=1)
    vendor.says({"object": "list", "data": [], "usage": {"prompt_tokens": 1, "total_tokens": 1}})
    assert say("/v1/embeddings", input="hi").status_code == 200


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.5, 0.999999])
def test_any_chance_picks_a_channel(chance: float) -> None:
    lanes: list[Any] = ["a", "b", "c"]
    assert routing.pick([(lane, 0) for lane in lanes], lambda: chance) in lanes
    assert routing.pick([(lane, 2) for lane in lanes], lambda: chance) in lanes


def test_the_log_of_a_failure_that_nobody_mended_is_no_charge(
    say: Any, vendor: FakeVendor, pair: Any, second: FakeVendor, setting: Any, logged: Any
) -> None:
    setting(RetryTimes=1)
    vendor.says(DOWN)
    second.says(DOWN)
    assert say().status_code == 502
    assert logged() == []
    say()
    assert [a["channel"] for a in json.loads(logged()[0].detail)["attempts"]] == [pair[0]]
