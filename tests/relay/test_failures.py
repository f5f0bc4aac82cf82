"""Failed requests are recorded: what their rows say, what is none, and that a flood of them is bounded."""

import json
import logging
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from asks import CHAT, PATH, events, post, until
from fake_vendor import FakeVendor, Say, chat, sse, stream
from flask import Flask
from flask.testing import FlaskClient
from gevent.event import Event
from sqlalchemy import func, select

from oneapi.models import log, usage
from oneapi.models.rollup import Hour
from oneapi.models.store import Store
from oneapi.relay import failures as module
from oneapi.relay.failures import told
from oneapi.state import State

Failed = Callable[[], list[log.Log]]

DOWN = Say(b'{"error": {"message": "boom"}}', status=500)
BUSY = Say(b'{"error": {"message": "slow down"}}', status=429)


@pytest.fixture
def failures(app: Flask) -> Any:
    return app.extensions["oneapi.relay"].failures


@pytest.fixture
def errors(state: State, failed: Failed) -> Callable[[], list[tuple[str, int, int, int]]]:
    """(model, channel, errors, requests) of the roll-ups."""

    def read() -> list[tuple[str, int, int, int]]:
        failed()
        with state.databases.transaction() as session:
            return [(h.model_name, h.channel_id, h.errors, h.requests) for h in session.scalars(select(Hour))]

    return read


def only(rows: list[log.Log]) -> tuple[log.Log, dict[str, Any]]:
    (row,) = rows
    return row, json.loads(row.detail or "{}")


# -- what is recorded ---------------------------------------------------------------------------------------------------


def test_a_request_that_every_channel_failed_is_told_with_its_attempts(
    say: Any, vendor: FakeVendor, channel: Any, setting: Any, alice: Any, failed: Failed, logged: Any, balance: Any, errors: Any
) -> None:
    setting(RetryTimes=1)
    first, second = channel(priority=2, name="first"), channel(priority=1, name="second")
    vendor.says(BUSY, DOWN)
    answer = say(stream=True)
    assert answer.status_code == 502
    row, detail = only(failed())
    assert (row.type, row.quota, row.prompt_tokens, row.completion_tokens) == (6, 0, 0, 0)
    assert (row.user_id, row.username, row.token_name) == (alice.id, "alice", "alice's")
    assert (row.model_name, row.channel_id, row.is_stream) == ("gpt-4o-mini", second, True)
    assert row.request_id == answer.headers["x-request-id"] and f"{row.content} (request" in answer.json["error"]["message"]
    assert (row.content, detail["status"], detail["code"]) == ("boom", 502, "vendor_error")
    assert [(a["channel"], a["name"], a["status"], a["kind"]) for a in detail["attempts"]] == [
        (first, "first", 429, "rate_limited"), (second, "second", 500, "server"),
    ]  # fmt: skip
    assert (detail["asked"], detail["path"]) == ("gpt-4o-mini", PATH)
    assert logged() == [] and balance(alice.id) == 10**9
    assert errors() == [("gpt-4o-mini", second, 1, 0)]


def test_the_model_is_that_of_the_last_attempt(say: Any, vendor: FakeVendor, channel: Any, failed: Failed) -> None:
    channel(model_mapping='{"gpt-4o-mini": "inner"}')
    vendor.says(DOWN)
    say()
    row, detail = only(failed())
    assert (row.model_name, detail["asked"], detail["served"]) == ("inner", "gpt-4o-mini", "inner")


def test_a_vendors_refusal_that_is_passed_on(say: Any, vendor: FakeVendor, channel: Any, failed: Failed) -> None:
    lane = channel()
    said = {"error": {"message": "temperature must be below 2", "type": "invalid_request_error", "code": "bad_temperature"}}
    vendor.says(said, status=400)
    assert say().status_code == 400
    row, detail = only(failed())
    assert (row.content, detail["status"], detail["code"]) == ("temperature must be below 2", 400, "bad_temperature")
    assert row.channel_id == lane and detail["attempts"][0]["kind"] == "bad_request"


def test_a_model_that_nobody_serves(say: Any, channel: Any, failed: Failed, errors: Any) -> None:
    channel()
    assert say(model="made up").status_code == say(model="x" * 5000).status_code == 503
    rows = failed()
    assert [row.model_name for row in rows] == ["made up", "x" * 191] and {row.channel_id for row in rows} == {0}
    assert rows[0].content.startswith("No channel of group default serves made up") and len(rows[1].content) <= 500
    detail = json.loads(rows[0].detail or "")
    assert (detail["status"], detail["code"], detail["attempts"]) == (503, "no_available_channel", [])
    assert errors() == [("", 0, 2, 0)]  # one roll-up for all names that clients make up


def test_the_message_is_in_the_language_of_the_client(say: Any, channel: Any, failed: Failed) -> None:
    say(model="unknown", headers={"Accept-Language": "zh-CN"})
    assert failed()[0].content.startswith("当前分组 default")


def test_a_quota_that_is_not_enough(say: Any, vendor: FakeVendor, channel: Any, person: Any, failed: Failed, errors: Any) -> None:
    channel()
    poor, bound = person("poor", quota=0), person("bound", remain=0)
    assert say(who=poor).status_code == 429
    row, detail = only(failed())
    assert row.content.startswith("user quota is not enough: ")
    assert (detail["code"], detail["status"]) == ("insufficient_quota", 429)
    assert say(who=bound).status_code == 429
    assert json.loads(failed()[-1].detail or "")["code"] == "insufficient_quota"
    assert vendor.asked == [] and [e[0] for e in errors()] == ["gpt-4o-mini", "gpt-4o-mini"]


def test_a_model_that_the_key_may_not_use(say: Any, channel: Any, person: Any, failed: Failed) -> None:
    channel()
    assert say(who=person("bound", models="gpt-4o")).status_code == 403
    row, detail = only(failed())
    assert (row.model_name, detail["code"], detail["status"]) == ("gpt-4o-mini", "model_not_allowed", 403)


def test_a_body_that_is_not_valid(client: FlaskClient, alice: Any, failed: Failed, errors: Any) -> None:
    client.post(PATH, data=b'{"messages": "secret prompt', headers=alice.headers)
    row, detail = only(failed())
    assert row.content.startswith("The body is not valid JSON") and "secret" not in row.content
    assert (row.model_name, detail["code"], detail["path"]) == ("", "invalid_json", PATH) and errors() == [("", 0, 1, 0)]


BEGINNINGS = {"nothing": (), "an error": sse({"error": {"message": "busy", "type": "server_error"}}, done=False)}


@pytest.mark.parametrize("pieces", BEGINNINGS.values(), ids=BEGINNINGS)
@pytest.mark.parametrize("mapped", [False, True])
def test_a_stream_that_breaks_before_the_first_byte(
    say: Any, vendor: FakeVendor, channel: Any, failed: Failed, logged: Any, pieces: Any, mapped: bool
) -> None:
    channel(model_mapping='{"gpt-4o-mini": "inner"}' if mapped else "")
    vendor.says(pieces)
    assert say(stream=True).status_code == 502
    row, detail = only(failed())
    assert row.is_stream and detail["status"] == 502 and len(detail["attempts"]) == 1 and logged() == []


@pytest.mark.parametrize("mapped", [False, True])
def test_a_stream_that_ends_before_it_said_anything(
    say: Any, vendor: FakeVendor, channel: Any, failed: Failed, logged: Any, mapped: bool
) -> None:
    channel(model_mapping='{"gpt-4o-mini": "inner"}' if mapped else "")
    vendor.says(sse({"id": "1", "choices": [{"index": 0, "delta": {"role": "assistant"}}]}, done=False), cut=True)
    answer = say(stream=True)
    if mapped:  # converted streams promise nothing before they hold content
        assert answer.status_code == 502
    else:
        assert events(answer.text)[-1]["error"]["code"] == "stream_broken"
    row, detail = only(failed())
    assert detail["status"] == 502 and row.content and logged() == []


def test_a_stream_that_breaks_later_is_charged_and_no_failure(
    say: Any, vendor: FakeVendor, channel: Any, failed: Failed, logged: Any
) -> None:
    channel()
    vendor.says(stream("one two three")[:3], cut=True)
    assert "two" in say(stream=True).text
    assert failed() == [] and len(logged()) == 1


def test_a_fault_of_our_own(
    say: Any, channel: Any, failed: Failed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    channel()
    monkeypatch.setattr("oneapi.relay.engine.candidates", lambda *_: 1 / 0)
    assert say().status_code == 500
    row, detail = only(failed())
    assert (row.content, detail["code"], detail["status"]) == ("Internal error of the gateway.", "internal_error", 500)


def test_a_failure_is_written_without_being_asked_for(say: Any, state: State, failures: Any) -> None:
    say(model="unknown")
    writer = failures._writer
    failures._ending.set()  # so that it does not wait for more
    writer.join(20)
    with state.databases.logs() as session:
        assert session.scalar(select(func.count()).select_from(log.Log).where(log.Log.type == 6)) == 1


PROXIED: list[tuple[dict[str, Any], Say, int, str, list[tuple[int, str]]]] = [  # channel, reply, status, code, attempts
    ({}, Say(b"away", status=503), 503, "vendor_error", [(503, "")]),
    ({"base_url": "http://127.0.0.1:1"}, Say(), 502, "vendor_unreachable", [(0, "unreachable")]),
    ({"status": 2}, Say(), 403, "channel_disabled", []),
]


@pytest.mark.parametrize(("how", "reply", "status", "code", "attempts"), PROXIED, ids=[case[3] for case in PROXIED])
def test_what_fails_on_the_proxy_route(
    client: FlaskClient, vendor: FakeVendor, channel: Any, admin: Any, app: Flask, failed: Failed, errors: Any,
    how: dict[str, Any], reply: Say, status: int, code: str, attempts: list[tuple[int, str]],
) -> None:  # fmt: skip
    made = channel(**{"type": 43, "models": "", "key": "raw-key"} | how)
    vendor.says(reply)
    path = f"/v1/oneapi/proxy/{made}/x"
    answer = client.get(path, headers=admin.headers)
    row, detail = only(failed())
    assert answer.status_code == detail["status"] == status and row.request_id == answer.headers["x-request-id"]
    assert (row.user_id, row.model_name, row.channel_id) == (admin.id, "", made if attempts else 0)
    assert (detail["code"], detail["path"], [(a["status"], a["kind"]) for a in detail["attempts"]]) == (code, path, attempts)
    assert app.extensions["oneapi.relay"].answered == {("proxy", status): 1}
    assert errors() == [("", row.channel_id, 1, 0)]


def test_what_succeeds_on_the_proxy_route_is_counted_and_no_failure(
    client: FlaskClient, vendor: FakeVendor, channel: Any, admin: Any, app: Flask, failed: Failed
) -> None:
    made = channel(type=43, models="", key="raw-key")
    vendor.says(b"made", status=201)
    assert client.get(f"/v1/oneapi/proxy/{made}/x", headers=admin.headers).status_code == 201
    assert failed() == [] and app.extensions["oneapi.relay"].answered == {("proxy", 201): 1}


# -- what is not --------------------------------------------------------------------------------------------------------


def test_who_is_not_let_in_is_not_recorded(client: FlaskClient, say: Any, person: Any, channel: Any, failed: Failed) -> None:
    channel()
    shut = person("shut", subnet="10.0.0.0/8")
    disabled = person("disabled", status=2)
    answers = [client.post(PATH, json=CHAT, headers={"Authorization": f"Bearer sk-{key}"}) for key in ("unknown", "")]
    answers += [say(who=shut), say(who=disabled), client.post("/v1/nothing", headers=shut.headers)]
    assert [answer.status_code for answer in answers] == [401, 401, 403, 403, 404]
    assert failed() == []


def test_our_own_limits_are_not_recorded(say: Any, channel: Any, person: Any, failed: Failed, errors: Any) -> None:
    channel()
    busy = person("busy", requests_per_minute=1)
    assert [say(who=busy).status_code for _ in range(3)] == [200, 429, 429]
    assert failed() == [] and sum(e[2] for e in errors()) == 0


def test_a_vendors_limit_is(say: Any, vendor: FakeVendor, channel: Any, failed: Failed) -> None:
    channel()
    vendor.says(BUSY)
    assert say().status_code == 429
    assert only(failed())[1]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize("streaming", [False, True])
def test_a_client_that_leaves_has_not_failed(
    served: str, vendor: FakeVendor, channel: Any, alice: Any, failed: Failed, logged: Any, streaming: bool
) -> None:
    channel()
    vendor.says(stream() if streaming else chat(), hold=(never := Event()))
    with pytest.raises(OSError):
        running = gevent.spawn(post, served, alice.key, CHAT | {"stream": streaming}, timeout=0.3)
        vendor.was_asked(1)
        running.get()
    post(served, alice.key, CHAT | {"model": "unknown"})
    assert [row.model_name for row in failed()] == ["unknown"]
    assert until(logged)  # the provider has the request: its prompt is charged
    assert [row.completion_tokens for row in logged()] == [0] and len(failed()) == 1
    never.set()


def test_a_client_that_leaves_a_stream_before_it_says_anything(
    say: Any, vendor: FakeVendor, channel: Any, failed: Failed
) -> None:
    channel()
    vendor.says(stream("one two"))
    say(stream=True).close()
    assert failed() == []


def test_without_the_log_of_consumption_failures_are_only_counted(
    say: Any, channel: Any, setting: Any, failed: Failed, errors: Any
) -> None:
    channel()
    setting(LogConsumeEnabled=False)
    say(model="unknown")
    assert failed() == [] and errors() == [("", 0, 1, 0)]


# -- what it may not do -------------------------------------------------------------------------------------------------


def test_a_flood_is_counted_in_full_and_written_in_part(
    say: Any, state: State, failed: Failed, failures: Any, errors: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "oneapi.relay.failures"):
        for _ in range(module.OF_ONE_KEY + 50):
            say(model="unknown")
        assert len(failures._rows) <= module.OF_ONE_KEY
        assert 1 <= len(failed()) <= module.OF_ONE_KEY * 2  # a minute may end meanwhile
        assert sum(e[2] for e in errors()) == module.OF_ONE_KEY + 50
    assert len([r for r in caplog.records if "came too fast" in r.message]) == 1


def test_a_flood_of_many_keys_is_bounded_and_written_little_by_little(
    say: Any, person: Any, failed: Failed, failures: Any, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 5)
    monkeypatch.setattr(module, "A_SECOND", 2)
    monkeypatch.setattr(failures, "_writer", object())  # nobody writes yet
    for n in range(9):
        say(who=person(f"p{n}"), model="unknown")
    assert len(failures._rows) == 5
    failures._write(2)
    with state.databases.logs() as session:
        assert session.scalar(select(func.count()).select_from(log.Log).where(log.Log.type == 6)) == 2
    with state.databases.transaction() as session:
        assert session.scalar(select(func.sum(Hour.errors))) == 2 + 4  # the rows, and those that get none
    assert len(failed()) == 5
    monkeypatch.setattr(failures, "_writer", None)


def test_counts_wait_for_so_many_roll_ups_only(say: Any, setting: Any, person: Any, failures: Any, monkeypatch: Any) -> None:
    setting(LogConsumeEnabled=False)
    monkeypatch.setattr(module, "KEYS", 3)
    monkeypatch.setattr(failures, "_writer", object())
    for n in range(5):
        say(who=person(f"p{n}"), model="unknown")
    assert len(failures._counts) == 3
    monkeypatch.setattr(failures, "_writer", None)


def test_a_database_that_does_not_take_them_changes_no_answer(
    say: Any, channel: Any, failed: Failed, failures: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: Any) -> None:
        raise OSError("away")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "write_failures", away)
        assert say(model="unknown").status_code == 503
        failures.flush()
    assert "failures=1 could not be written" in caplog.text
    assert failed() == []


def test_an_error_in_the_recording_changes_no_answer(say: Any, channel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_row", lambda *_: 1 / 0)
    assert say(model="unknown").json["error"]["code"] == "no_available_channel"


def test_a_success_asks_nothing_of_it(say: Any, channel: Any, failures: Any) -> None:
    channel()
    assert say().status_code == 200
    assert failures._writer is None and not failures._rows and not failures._counts


def test_neither_secrets_nor_prompts_are_kept(say: Any, vendor: FakeVendor, channel: Any, failed: Failed) -> None:
    channel(key="sk-vendorsecret1234")
    prompt = "my grandmother's recipe"
    vendor.says({"error": {"message": f"cannot answer {prompt}: key sk-vendorsecret1234"}}, status=400)
    say(messages=[{"role": "user", "content": [{"type": "text", "text": prompt}]}])
    row, _detail = only(failed())
    assert row.content == "cannot answer …: key ***"
    assert told(f"Invalid value: '{'x y ' * 20}'. Supported: 'low'", None) == "Invalid value: '…'. Supported: 'low'"


def test_what_no_database_takes_is_cleaned(say: Any, channel: Any, vendor: FakeVendor, failed: Failed) -> None:
    channel()
    assert say(model="a\x00b\ud83d\ude00").status_code == 503
    vendor.says({"error": {"message": "nul \x00 here", "code": "c\x00"}}, status=400)
    say()
    rows = failed()
    assert rows[0].model_name == "a b😀" and rows[1].content == "nul   here"
    assert json.loads(rows[1].detail or "")["code"] == "c "


def test_failures_are_in_no_sum_of_consumption(
    say: Any, vendor: FakeVendor, channel: Any, alice: Any, state: State, errors: Any
) -> None:
    lane = channel()
    vendor.says(DOWN)
    say(), say()
    assert errors() == [("gpt-4o-mini", lane, 1, 1)]
    now = int(state.clock())
    with state.databases.transaction() as session:
        (total,) = usage.series(session, now - 7200, now + 60, step=86400, user_id=alice.id)
    assert (total.requests, total.errors) == (1, 1)
