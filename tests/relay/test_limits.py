"""Requests and tokens a minute and requests in flight: for a token, a user and a group, counted by all processes together."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest
from asks import post
from fake_vendor import FakeVendor, chat, stream
from hypothesis import given
from hypothesis import strategies as st

from oneapi.relay import limits
from oneapi.relay.limits import Board
from oneapi.relay.refusal import Refused
from oneapi.state import Caller, Limits

RPM = {"rpm": 3}
WHERE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("token", {"requests_per_minute": 3}, {}), ("user", {}, {"UserRequestsPerMinute": 3}),
    ("group", {}, {"GroupLimits": {"default": RPM}}),
]  # fmt: skip


@pytest.mark.parametrize(("whose", "values", "options"), WHERE, ids=[case[0] for case in WHERE])
def test_requests_a_minute(
    say: Any, vendor: FakeVendor, channel: Any, person: Any, setting: Any, whose: str, values: Any, options: Any
) -> None:
    channel()
    setting(**options) if options else None
    busy = person("busy", **values)
    answers = [say(who=busy) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [a.headers.get("x-ratelimit-remaining-requests") for a in answers[:3]] == ["2", "1", "0"]
    error = answers[3].json["error"]
    assert (
        error["code"] == "rate_limit_exceeded" and error["type"] == "requests" and f"this {whose}: 3 requests" in error["message"]
    )
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 120
    assert answers[3].headers["x-ratelimit-limit-requests"] == "3" and answers[3].headers["x-ratelimit-remaining-requests"] == "0"
    assert len(vendor.asked) == 3


def test_one_persons_limit_is_not_anothers(say: Any, channel: Any, person: Any, setting: Any) -> None:
    channel()
    setting(UserRequestsPerMinute=1)
    anna, bert = person("anna"), person("bert")
    assert [say(who=who).status_code for who in (anna, bert, anna, bert)] == [200, 200, 429, 429]


def test_tokens_a_minute_count_what_was_really_used(say: Any, vendor: FakeVendor, channel: Any, person: Any, logged: Any) -> None:
    channel()
    busy = person("busy", tokens_per_minute=1000)
    vendor.always(chat("Hi", 300, 100))
    answers = [say(who=busy) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json["error"]["type"] == "tokens"
    assert answers[0].headers["x-ratelimit-limit-tokens"] == "1000"


@pytest.mark.parametrize("streaming", [False, True])
def test_a_failure_gives_its_tokens_back(say: Any, vendor: FakeVendor, channel: Any, person: Any, streaming: bool) -> None:
    channel()
    busy = person("busy", tokens_per_minute=200, concurrency=1)
    vendor.always(b"", status=500)
    assert [say(who=busy, stream=streaming).status_code for _ in range(12)] == [502] * 12


@pytest.mark.parametrize(("values", "options"), [({"concurrency": 2}, {}), ({}, {"UserConcurrency": 2})])
def test_requests_in_flight(
    served: str, vendor: FakeVendor, channel: Any, person: Any, setting: Any, values: Any, options: Any
) -> None:
    channel()
    setting(**options) if options else None
    busy = person("busy", **values)
    vendor.always(chat(), delay=0.2)
    greenlets = [gevent.spawn(post, served, busy.key) for _ in range(4)]
    answers = [greenlet.get() for greenlet in greenlets]
    assert sorted(answer.status for answer in answers) == [200, 200, 429, 429]
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.json["error"]["code"] == "concurrency_limit_exceeded" and refused.headers["retry-after"] == "1"
    assert post(served, busy.key).status == 200


def test_a_stream_is_in_flight_until_it_ends_and_no_longer(
    client: Any, say: Any, vendor: FakeVendor, channel: Any, person: Any
) -> None:
    channel()
    busy = person("busy", concurrency=1)
    vendor.always(stream("one two three"), pause=0.02)
    running = say(who=busy, stream=True)
    assert say(who=busy).status_code == 429
    assert running.text.endswith("data: [DONE]\n\n")
    given_up = say(who=busy, stream=True)
    given_up.close()
    assert say(who=busy, stream=True).status_code == 200


def test_a_refused_request_is_counted_nowhere(say: Any, channel: Any, person: Any, setting: Any, vendor: FakeVendor) -> None:
    channel()
    setting(GroupLimits={"default": {"rpm": 1}})
    busy = person("busy", requests_per_minute=100)
    say(who=busy)
    for _ in range(3):
        assert say(who=busy).status_code == 429
    setting(GroupLimits={})
    assert say(who=busy).headers["x-ratelimit-remaining-requests"] == "98"


def test_an_estimate_larger_than_the_limit_can_be_let_in_alone(say: Any, channel: Any, person: Any) -> None:
    channel()
    busy = person("busy", tokens_per_minute=50)
    assert say(who=busy, messages=[{"role": "user", "content": "x" * 10_000}]).status_code == 200


# -- the board --------------------------------------------------------------------------------------------------------


def someone(**values: int) -> Caller:
    return Caller(1, 1, "", "", 1, -1, True, None, (), "", "default", 1, 1, (("token:1", Limits(**values)),))


HOLDER = """
import sys, time
from oneapi.relay.limits import Board
from oneapi.state import Caller, Limits
board = Board(sys.argv[1])
caller = Caller(1, 1, "", "", 1, -1, True, None, (), "", "default", 1, 1, (("token:1", Limits(rpm=100, concurrency=2)),))
board.enter(caller, 0)
board.enter(caller, 0)
print("in", flush=True)
time.sleep(60)
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Any:
    """Another process with two requests in flight."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], cwd=root, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"in\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_processes_share_what_they_count_and_the_dead_hold_nothing(tmp_path: Path, elsewhere: Any) -> None:
    board, caller = Board(str(tmp_path)), someone(rpm=100, concurrency=2)
    with pytest.raises(Refused):
        board.enter(caller, 0)
    elsewhere.kill()
    elsewhere.wait()
    ticket = board.enter(caller, 0)
    assert ("x-ratelimit-remaining-requests", "97") in ticket.headers
    board.enter(caller, 0)
    with pytest.raises(Refused):
        board.enter(caller, 0)
    ticket.done(0)
    ticket.done(0)  # once more changes nothing
    board.enter(caller, 0)
    with pytest.raises(Refused):
        board.enter(caller, 0)


def test_a_worker_that_takes_the_place_of_a_dead_one_does_not_inherit_its_requests(tmp_path: Path, elsewhere: Any) -> None:
    elsewhere.kill()
    elsewhere.wait()
    board, caller = Board(str(tmp_path)), someone(rpm=100, concurrency=2)
    running = [board.enter(caller, 0) for _ in range(2)]
    with pytest.raises(Refused):
        board.enter(caller, 0)
    running[0].done(0)
    board.enter(caller, 0)


HAMMER = """
import sys
from oneapi.relay import limits
from oneapi.state import Caller, Limits
limits.time.time = lambda: 6_000_000.0  # one minute, however long it takes
board = limits.Board(sys.argv[1])
caller = Caller(1, 1, "", "", 1, -1, True, None, (), "", "default", 1, 1, (("token:1", Limits(rpm=10**6, tpm=10**9)),))
print("seated", flush=True)
sys.stdin.readline()
for _ in range(20_000):
    board.enter(caller, 7).done(9)
"""


def test_a_worker_that_was_alone_makes_room_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits.time, "time", lambda: 6_000_000.0)
    board, caller = Board(str(tmp_path)), someone(rpm=10**6, tpm=10**9)
    board.enter(caller, 7).done(9)
    command, root = [sys.executable, "-c", HAMMER, str(tmp_path)], Path(__file__).parents[2]
    others = [subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    assert [process.stdout.readline() for process in others if process.stdout] == [b"seated\n"] * 2
    for process in others:
        assert process.stdin
        process.stdin.write(b"go\n")
        process.stdin.flush()
    entered = 1
    while any(process.poll() is None for process in others):
        board.enter(caller, 7).done(9)
        entered += 1
    for process in others:
        process.communicate()
        assert process.returncode == 0
    headers = dict(board.enter(caller, 7).headers)
    total = entered + 40_000
    assert headers["x-ratelimit-remaining-requests"] == str(10**6 - total - 1)
    assert headers["x-ratelimit-remaining-tokens"] == str(10**9 - 9 * total - 7)


def test_the_count_fades_with_the_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 6_000_000.0
    monkeypatch.setattr(limits.time, "time", lambda: now)
    board, caller = Board(str(tmp_path)), someone(rpm=10)

    def let_in() -> int:
        count = 0
        while count < 100:
            try:
                board.enter(caller, 0)
            except Refused:
                break
            count += 1
        return count

    assert let_in() == 10
    now += 60
    assert let_in() == 0  # the minute before counts in full
    now += 30
    assert let_in() == 5
    now += 180
    assert let_in() == 10


def test_more_owners_than_places_still_find_one(tmp_path: Path) -> None:
    board = Board(str(tmp_path))
    for number in range(limits.SLOTS + 500):
        caller = someone(rpm=1)
        caller.limits = ((f"token:{number}", Limits(rpm=1)),)
        board.enter(caller, 0).done(0)


@given(st.integers(1, 1000), st.integers(0, 1000), st.integers(0, 1000), st.integers(1, 1000), st.floats(0, 0.999))
def test_the_time_to_wait_is_sane(limit: int, used: int, before: int, more: int, part: float) -> None:
    assert 1.0 <= limits.wait(limit, used, before, min(more, limit), part) <= 121


def test_the_time_to_wait_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 6_000_020.0
    monkeypatch.setattr(limits.time, "time", lambda: now)
    board: Board = Board(str(tmp_path))
    enter: Callable[[], Any] = lambda: board.enter(someone(rpm=4), 0)  # noqa: E731
    for _ in range(4):
        enter()
    with pytest.raises(Refused) as refused:
        enter()
    now += (refused.value.retry_after or 0) + 0.1
    enter()


def test_many_who_ask_at_once_share_one_board(app: Any) -> None:
    gateway = app.extensions["oneapi.relay"]
    boards = [gevent.spawn(lambda: gateway.board) for _ in range(5)]
    gevent.joinall(boards)
    assert len({id(asked.value) for asked in boards}) == 1 and boards[0].value is gateway.board
