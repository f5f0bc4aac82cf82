"""Every served request is charged exactly once, nobody falls below zero, and what was not served costs nothing."""

import json
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from asks import PATH, post, words
from fake_vendor import FakeVendor, chat, stream
from flask.testing import FlaskClient
from gevent.event import Event
from sqlalchemy import delete, select, update

from oneapi.models import ledger, token, user, version
from oneapi.state import State

pytestmark = pytest.mark.usefixtures("books")


def used(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


@pytest.mark.parametrize(
    ("model", "prompt", "completion", "cost"),
    [("gpt-4o-mini", 1251, 102, 125), ("gpt-3.5-turbo", 1982, 1382, 1532), ("gpt-4", 100, 50, 3000), ("gpt-4o-mini", 1, 0, 1),
     ("gpt-4o-mini", 1, 1, 1)],
)  # fmt: skip
@pytest.mark.parametrize("streaming", [False, True])
def test_text_costs_what_the_worked_examples_say(
    say: Any, vendor: FakeVendor, channel: Any, charges: Any, balance: Any, alice: Any,
    model: str, prompt: int, completion: int, cost: int, streaming: bool,
) -> None:  # fmt: skip
    channel(models=model)
    vendor.says(stream("Hi", prompt, completion) if streaming else chat("Hi", prompt, completion))
    assert say(model=model, stream=streaming).status_code == 200
    assert charges() == [cost]
    assert balance(alice.id) == 10**9 - cost


@pytest.mark.parametrize(
    ("body", "cost"),
    [({"model": "dall-e-3"}, 20_000), ({"model": "dall-e-3", "size": "1792x1024"}, 40_000),
     ({"model": "dall-e-3", "size": "1792x1024", "quality": "hd"}, 60_000), ({"model": "dall-e-3", "quality": "hd"}, 40_000),
     ({"model": "dall-e-2"}, 12_500), ({"model": "dall-e-2", "n": 3, "size": "256x256"}, 30_000)],
)  # fmt: skip
def test_pictures_cost_what_the_worked_examples_say(
    say: Any, vendor: FakeVendor, channel: Any, charges: Any, body: dict[str, Any], cost: int
) -> None:
    channel(models="dall-e-2,dall-e-3")
    vendor.says({"created": 1, "data": [{"url": "http://x/1.png"}] * body.get("n", 1)})
    assert say("/v1/images/generations", prompt="a cat", **body).status_code == 200
    assert charges() == [cost]


def test_no_picture_costs_nothing(say: Any, vendor: FakeVendor, channel: Any, charges: Any) -> None:
    channel(models="dall-e-2")
    vendor.says({"created": 1, "data": []})
    assert say("/v1/images/generations", model="dall-e-2", prompt="a cat").status_code == 200
    assert charges() == [0]


def test_speech_is_paid_by_the_character(say: Any, vendor: FakeVendor, channel: Any, charges: Any) -> None:
    channel(models="tts-1")
    vendor.says(b"ID3 sound", content_type="audio/mpeg")
    assert say("/v1/audio/speech", model="tts-1", input="Hello there", voice="alloy").data == b"ID3 sound"
    assert charges() == [int(11 * 7.5)]


def test_a_groups_ratio_multiplies_the_price(
    say: Any, vendor: FakeVendor, channel: Any, charges: Any, person: Any, setting: Any
) -> None:
    setting(GroupRatio={"default": 1, "vip": 0.5})
    channel(group="default,vip")
    vendor.always(chat("Hi", 1000, 0))
    say(who=person("vera", group="vip"))
    say()
    assert charges() == [38, 75]


def test_a_price_per_call_does_not_look_at_tokens(say: Any, vendor: FakeVendor, channel: Any, charges: Any, setting: Any) -> None:
    setting(CallPrice={"gpt-4o-mini": 0.002})
    channel()
    vendor.says(chat("Hi", 99_999, 99_999))
    say()
    assert charges() == [1000]


def test_cached_input_costs_less(say: Any, vendor: FakeVendor, channel: Any, charges: Any) -> None:
    channel()
    report = used(1000, 0) | {"prompt_tokens_details": {"cached_tokens": 800}}
    vendor.says(chat(usage=report))
    say()
    assert charges() == [45]  # 200 × 0.075 + 800 × 0.0375


NEW_YEAR = 1798761600.0


TIMES = [
    ("gemini-3.6-flash", lambda: NEW_YEAR - 60, 375), ("gemini-3.6-flash", lambda: NEW_YEAR + 60, 750),
    ("deepseek-v4-flash", lambda: NEW_YEAR + 5 * 3600, 75), ("deepseek-v4-flash", lambda: NEW_YEAR + 7 * 3600, 150),
]  # fmt: skip


@pytest.mark.parametrize(("model", "clock", "cost"), TIMES, ids=["before", "after", "idle hour", "busy hour"])
def test_a_price_of_its_time_is_charged(
    say: Any, vendor: FakeVendor, channel: Any, charges: Any, model: str, clock: Any, cost: int
) -> None:
    channel(models=model)
    vendor.says(chat("Hi", 1000, 0))
    say(model=model)
    assert charges() == [cost]


FAILURES: list[tuple[str, dict[str, Any]]] = [
    ("a refusal", {"status": 400, "body": b'{"error":{"message":"no"}}'}),
    ("no rights", {"status": 401, "body": b"{}"}),
    ("too many", {"status": 429, "body": b"{}"}),
    ("an error", {"status": 500, "body": b"oops"}),
    ("a web page", {"body": b"<html>", "content_type": "text/html"}),
    ("no answer", {"body": b""}),
    ("the wrong shape", {"body": b'{"choices": 5}'}),
    ("an error under 200", {"body": b'{"error":{"message":"no","code":"500"}}'}),
    ("a cut connection", {"pieces": (b"data:",), "cut": True, "content_type": "text/event-stream"}),
    ("an empty stream", {"pieces": (), "content_type": "text/event-stream"}),
    (
        "a stream that begins with an error",
        {"pieces": (b'data: {"error":{"message":"no"}}\n\n',), "content_type": "text/event-stream"},
    ),
]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("failure", [f for _, f in FAILURES], ids=[name for name, _ in FAILURES])
def test_a_failure_costs_nothing_and_leaves_nothing_reserved(
    say: Any, vendor: FakeVendor, channel: Any, charges: Any, balance: Any, person: Any, failure: dict[str, Any], streaming: bool
) -> None:
    from fake_vendor import Say

    carol = person("carol", quota=10_000, remain=5_000)
    channel()
    vendor.says(Say(**failure))
    assert say(stream=streaming, who=carol).status_code >= 400
    assert charges() == []
    assert balance(carol.id) == 10_000
    vendor.says(chat("Hi", 10_000_000, 0))
    say(who=carol)  # takes all there is: so nothing was still held
    assert balance(carol.id) == 0


def test_an_unreachable_vendor_costs_nothing(say: Any, channel: Any, charges: Any, balance: Any, alice: Any) -> None:
    channel(base_url="http://127.0.0.1:9")
    assert say().status_code == 502
    assert charges() == []
    assert balance(alice.id) == 10**9


def test_a_stream_that_breaks_is_paid_for_what_was_delivered(say: Any, vendor: FakeVendor, channel: Any, detail: Any) -> None:
    channel()
    vendor.says(stream("one two three four five six seven eight")[:5], cut=True)
    answer = say(stream=True)
    assert words(answer.text.replace("[DONE]", "{}")) == "onetwothreefour"
    found = detail()
    assert found["end"] == "vendor_broke"
    assert found["usage"]["estimated"] and found["usage"]["completion"] in range(3, 8)


def test_a_stream_without_usage_is_counted_by_us(say: Any, vendor: FakeVendor, channel: Any, detail: Any, charges: Any) -> None:
    channel()
    vendor.says(stream("The quick brown fox jumps over the lazy dog", usage=False))
    say(stream=True)
    found = detail()["usage"]
    assert found["estimated"] and found["prompt"] == 8 and 9 <= found["completion"] <= 11
    assert charges() == [-(-(found["prompt"] + 4 * found["completion"]) * 75 // 1000)]


ABSURD: list[tuple[dict[str, Any], int, int]] = [  # usage, least and most prompt + completion tokens that may be charged
    ({"prompt_tokens": -5, "completion_tokens": 10}, 18, 18),  # our own count of the prompt is 8
    ({"prompt_tokens": "100", "completion_tokens": 10}, 18, 18),
    ({"prompt_tokens": 1e300, "completion_tokens": 10}, 18, 18),
    ({"completion_tokens": 10}, 18, 18), ({"prompt_tokens": 0, "completion_tokens": 10}, 18, 18),
    ({"prompt_tokens": 10, "completion_tokens": -3}, 12, 14), ({"prompt_tokens": 10}, 12, 14),
    ({"prompt_tokens": 10**11, "completion_tokens": 10, "total_tokens": 10**11 + 10}, 18, 18),
    ({"prompt_tokens": 10, "completion_tokens": 10**11, "total_tokens": 10**11 + 10}, 12, 14),
    ({"prompt_tokens": None, "completion_tokens": None}, 2, 40),
    ({"prompt_tokens": -1, "completion_tokens": -1}, 2, 40),
    ({"prompt_tokens": [], "completion_tokens": {}}, 2, 40),
    ({"prompt_tokens": True, "completion_tokens": 10}, 18, 18),
    ({"prompt_tokens": 10, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 1000}}, 10, 10),
    ({"prompt_tokens": 10, "completion_tokens": 0, "prompt_tokens_details": "none"}, 10, 10),
    ({}, 2, 40),
]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(("report", "least", "most"), ABSURD)
def test_an_absurd_report_makes_a_sane_charge_that_says_so(
    say: Any, vendor: FakeVendor, channel: Any, logged: Any, detail: Any, report: dict[str, Any], least: int, most: int,
    streaming: bool,
) -> None:  # fmt: skip
    channel()
    chunk = {"id": "1", "object": "chat.completion.chunk", "choices": [], "usage": report}
    pieces = (*stream("Hello you", usage=False)[:-1], b"data: " + json.dumps(chunk).encode() + b"\n\n", b"data: [DONE]\n\n")
    vendor.says(pieces if streaming else chat("Hello you", usage=report))
    assert say(stream=streaming).status_code == 200
    row = logged()[0]
    assert least <= row.prompt_tokens + row.completion_tokens <= most
    assert 0 < row.quota < 20
    odd = any(value not in (None, 10, 0) and not isinstance(value, dict) or isinstance(value, bool) for value in report.values())
    assert bool(detail()["usage"].get("flagged")) >= (odd and report.get("prompt_tokens_details") is None)


def test_a_usage_that_is_not_a_number_is_not_money(say: Any, vendor: FakeVendor, channel: Any, logged: Any) -> None:
    channel()
    body = json.dumps(chat(usage={"prompt_tokens": float("nan")})).encode()
    vendor.says(body, chat("Hi", 10, 10))
    assert say().status_code == 502  # NaN is not JSON: the answer cannot be read
    assert say().status_code == 200
    assert len(logged()) == 1


# -- balances --------------------------------------------------------------------------------------------------------


def test_a_balance_that_is_too_small_is_refused_before_the_vendor_is_asked(
    say: Any, vendor: FakeVendor, channel: Any, person: Any, balance: Any
) -> None:
    channel()
    poor = person("poor", quota=10)
    answer = say(who=poor, max_tokens=1000)
    assert (answer.status_code, answer.json["error"]["code"]) == (429, "insufficient_quota")
    assert answer.json["error"]["type"] == "insufficient_quota" and answer.headers["x-should-retry"] == "false"
    assert "Retry-After" not in answer.headers
    assert vendor.asked == [] and balance(poor.id) == 10


@pytest.mark.parametrize(
    ("who", "old"),
    [
        ({"quota": 10}, (403, "insufficient_user_quota")), ({"remain": 10}, (403, "pre_consume_token_quota_failed")),
        ({"quota": 0}, (403, "insufficient_user_quota")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("as_403", [False, True])
def test_a_setting_keeps_the_old_refusals_of_requests_without_quota(
    who: dict[str, int], old: tuple[int, str], as_403: bool, say: Any, channel: Any, person: Any, setting: Any
) -> None:
    setting(QuotaRefusedWith403Enabled=as_403)
    channel()
    answer = say(who=person("poor", **who), max_tokens=1000)
    assert (answer.status_code, answer.json["error"]["code"]) == (old if as_403 else (429, "insufficient_quota"))
    assert ("x-should-retry" in answer.headers) is not as_403


def test_a_cost_beyond_the_balance_stops_at_zero_and_the_next_request_is_refused(
    say: Any, vendor: FakeVendor, channel: Any, person: Any, balance: Any, logged: Any, books: Any, state: State
) -> None:
    channel()
    poor = person("poor", quota=50)
    vendor.always(chat("Hi", 1000, 0))
    assert say(who=poor).status_code == 200
    assert balance(poor.id) == 0
    assert books() == {"requests": 1, "spent": 50, "written_off": 25}
    assert logged()[0].quota == 50 and "25" in (logged()[0].content or "")
    assert say(who=poor).status_code == 429
    assert len(vendor.asked) == 1
    with state.databases.transaction() as session:
        assert session.get(user.User, poor.id).used_quota == 50


def test_a_tokens_budget_is_a_limit_of_its_own(
    say: Any, vendor: FakeVendor, channel: Any, person: Any, balance: Any, state: State
) -> None:
    channel()
    thrifty = person("thrifty", quota=10**9, remain=100)
    vendor.always(chat("Hi", 1000, 0))
    assert [say(who=thrifty).status_code for _ in range(3)] == [200, 200, 429]
    assert balance(thrifty.id) == 10**9 - 150
    with state.databases.transaction() as session:
        row = session.scalar(select(token.Token).where(token.Token.user_id == thrifty.id))
        held = ledger.leased(session, "token", [row.id]).get(row.id, 0)
        assert (row.remain_quota + held, row.used_quota) == (0, 150)


def test_an_unlimited_tokens_use_is_counted_too(
    say: Any, vendor: FakeVendor, channel: Any, state: State, alice: Any, books: Any
) -> None:
    channel()
    vendor.says(chat("Hi", 1000, 0))
    say()
    books()
    with state.databases.transaction() as session:
        row = session.scalar(select(token.Token).where(token.Token.user_id == alice.id))
        owner = session.get(user.User, alice.id)
        assert (row.used_quota, owner.used_quota, owner.request_count) == (75, 75, 1)
        assert row.accessed_time >= row.created_time


@pytest.mark.parametrize("limited", [False, True])
def test_two_hundred_at_once_on_a_balance_for_a_hundred_pay_for_exactly_a_hundred(
    served: str, vendor: FakeVendor, channel: Any, person: Any, balance: Any, setting: Any, books: Any, limited: bool
) -> None:
    setting(CallPrice={"gpt-4o-mini": 0.002})
    channel()
    vendor.always(chat(), delay=0.02)
    crowd = person("crowd", quota=10**6 if limited else 100_000, remain=100_000 if limited else None)
    greenlets = [gevent.spawn(post, served, crowd.key) for _ in range(200)]
    statuses = [greenlet.get().status for greenlet in greenlets]
    assert (statuses.count(200), statuses.count(429)) == (100, 100)
    assert balance(crowd.id) == (10**6 - 100_000 if limited else 0)
    assert books() == {"requests": 100, "spent": 100_000, "written_off": 0}
    assert len(vendor.asked) == 100


def test_a_crowd_with_open_answers_never_falls_below_zero(
    served: str, vendor: FakeVendor, channel: Any, person: Any, balance: Any, books: Any
) -> None:
    channel()
    vendor.always(chat("Hi", 100, 50), delay=0.01)
    crowd = person("crowd", quota=23 * 40)
    greenlets = [gevent.spawn(post, served, crowd.key) for _ in range(80)]
    statuses = [greenlet.get().status for greenlet in greenlets]
    found = books()
    assert balance(crowd.id) == 920 - found["spent"] >= 0
    assert statuses.count(200) == found["requests"] == len(vendor.asked)
    assert found["spent"] + found["written_off"] == 23 * found["requests"]
    # The last of them are served on what is left if that pays their prompt; how many depends on who comes when, of 80.
    assert 40 <= statuses.count(200) <= 50


def test_a_balance_set_while_a_request_runs_is_what_it_is_set_to_less_that_request(
    served: str, vendor: FakeVendor, channel: Any, person: Any, balance: Any, state: State
) -> None:
    channel()
    vendor.says(chat("Hi", 1000, 0), hold=(go_on := Event()))
    dora = person("dora", quota=10**6)
    running = gevent.spawn(post, served, dora.key)
    vendor.was_asked(1)
    with state.databases.transaction() as session:
        ledger.set_balance(session, dora.id, 500, now=1, actor=1)
        version.bump(session, "users")
    state.changed()
    go_on.set()
    assert running.get().status == 200
    assert balance(dora.id) == 425


def test_a_failure_after_the_balance_was_set_gives_nothing_back_twice(
    served: str, vendor: FakeVendor, channel: Any, person: Any, balance: Any, state: State
) -> None:
    channel()
    vendor.says(b"", status=500, hold=(go_on := Event()))
    dora = person("dora", quota=10**6)
    running = gevent.spawn(post, served, dora.key)
    vendor.was_asked(1)
    with state.databases.transaction() as session:
        ledger.set_balance(session, dora.id, 30, now=1, actor=1)
        version.bump(session, "users")
    state.changed()
    go_on.set()
    assert running.get().status == 502
    assert balance(dora.id) == 30
    vendor.always(chat("Hi", 400, 0))
    statuses = [post(served, dora.key).status for _ in range(3)]
    assert statuses == [200, 429, 429]
    assert balance(dora.id) == 0


@pytest.mark.parametrize("whose", ["token", "user"])
def test_who_is_deleted_while_a_request_runs_is_charged_all_the_same(
    served: str, vendor: FakeVendor, channel: Any, person: Any, charges: Any, state: State, whose: str
) -> None:
    channel()
    vendor.says(chat("Hi", 1000, 0), hold=(go_on := Event()))
    gone = person("gone", quota=10**6, remain=10**6)
    running = gevent.spawn(post, served, gone.key)
    vendor.was_asked(1)
    with state.databases.transaction() as session:
        if whose == "token":
            session.execute(delete(token.Token).where(token.Token.user_id == gone.id))
        else:
            session.execute(update(user.User).where(user.User.id == gone.id).values(status=user.Status.DELETED))
        version.bump(session, "tokens")
        version.bump(session, "users")
    state.changed()
    go_on.set()
    assert running.get().status == 200
    assert charges() == [75]
    assert post(served, gone.key).status in (401, 403)


@pytest.mark.parametrize("pieces", [0, 3])
def test_a_client_that_leaves_a_stream_pays_for_its_prompt_and_what_it_got(
    client: FlaskClient, alice: Any, vendor: FakeVendor, channel: Any, logged: Any, balance: Any, pieces: int
) -> None:
    channel()
    vendor.says(stream("one two three four five"), pause=0.01)
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    answer = client.post(PATH, json=body, headers=alice.headers, buffered=False)
    taken = answer.iter_encoded()
    for _ in range(pieces):
        next(taken)
    answer.close()
    gevent.sleep(0.05)
    rows = logged()
    assert len(rows) == 1 and rows[0].prompt_tokens == 8
    assert balance(alice.id) == 10**9 - rows[0].quota
    assert json.loads(rows[0].detail)["end"] == "client_left"
    assert 0 < rows[0].completion_tokens < 5 if pieces else rows[0].completion_tokens == 0


def test_a_request_waits_for_money_that_others_hold_rather_than_be_refused(
    served: str, vendor: FakeVendor, channel: Any, person: Any, balance: Any
) -> None:
    channel()
    vendor.always(chat("Hi", 100, 0), delay=0.2)
    ulla = person("ulla", quota=100)
    asked: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 200}
    greenlets = [gevent.spawn(post, served, ulla.key, asked) for _ in range(3)]  # each must have 62 to begin, and costs 8
    assert [greenlet.get().status for greenlet in greenlets] == [200, 200, 200]
    assert balance(ulla.id) == 100 - 24


def test_parallel_requests_of_one_key_are_charged_each(
    served: str, vendor: FakeVendor, channel: Any, alice: Any, books: Callable[[], dict[str, int]]
) -> None:
    channel()
    vendor.always(stream("Hi you", 100, 10))
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    greenlets = [gevent.spawn(post, served, alice.key, body) for _ in range(60)]
    assert all(greenlet.get().body.endswith(b"data: [DONE]\n\n") for greenlet in greenlets)
    assert books() == {"requests": 60, "spent": 60 * 11, "written_off": 0}
