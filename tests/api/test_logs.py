"""Logs through the API."""

import json

import pytest
from sqlalchemy import func, insert, select

from oneapi import jobs
from oneapi.api.logs import _continued
from oneapi.models import log, rollup
from oneapi.models.log_pages import Page

KEYS = {
    "id", "user_id", "created_at", "type", "content", "username", "token_name", "model_name", "quota", "prompt_tokens",
    "completion_tokens", "channel", "request_id", "elapsed_time", "is_stream", "system_prompt_reset", "detail",
}  # fmt: skip


@pytest.fixture
def written(state, alice, bob):
    detail = json.dumps({"price": 1, "attempts": [{"channel": 7}]})
    with state.databases.logs() as session:
        for at, (kind, who, model, channel) in enumerate(
            [(2, alice, "gpt-4o", 1), (2, alice, "claude", 2), (2, bob, "gpt-4o", 1), (1, alice, "", 0), (3, bob, "", 0)], 1
        ):
            session.add(
                log.Log(
                    type=kind, user_id=who.id, username=who.username, token_name=f"{who.username}'s", model_name=model,
                    channel_id=channel, created_at=at * 100, quota=at, content=f"entry {at} 100%", detail=detail,
                )
            )  # fmt: skip


@pytest.mark.parametrize(
    "query, ids",
    [
        ("", [5, 4, 3, 2, 1]), ("type=2", [3, 2, 1]), ("type=0", [5, 4, 3, 2, 1]), ("username=bob", [5, 3]), ("channel=2", [2]),
        ("model_name=gpt-4o&username=alice", [1]), ("token_name=alice%27s&type=1", [4]), ("model_name=gpt", []),
        ("start_timestamp=200&end_timestamp=300", [3, 2]), ("p=1", []), ("page_size=2", [5, 4]), ("page_size=2&p=1", [3, 2]),
        ("before=3", [2, 1]),
    ],
)  # fmt: skip
def test_filters_match_exactly(as_, admin, written, query, ids):
    rows = as_(admin).data("GET", f"/api/log/?{query}")
    assert [row["id"] for row in rows] == ids
    assert all(set(row) == KEYS for row in rows)


def test_the_total_travels_in_a_header(as_, admin, written):
    assert as_(admin).raw("GET", "/api/log/?page_size=2").headers["X-Total-Count"] == "5"


def test_one_s_own_logs_hide_ids_and_attempts(as_, alice, written):
    rows = as_(alice).data("GET", "/api/log/self/?p=0")
    assert [(row["id"], row["created_at"]) for row in rows] == [(0, 400), (0, 200), (0, 100)]
    assert rows[1]["channel"] == 2 and rows[1]["detail"] == {"price": 1}
    assert as_(alice).data("GET", "/api/log/self?username=bob") == rows, "nobody filters their way to others"


@pytest.mark.parametrize(
    "query, quota", [("", 6), ("username=alice", 3), ("type=3", 6), ("channel=1", 4), ("start_timestamp=250", 3)]
)
def test_sums_count_consumption_only(as_, admin, written, query, quota):
    assert as_(admin).data("GET", f"/api/log/stat?{query}") == {"quota": quota}


def test_one_s_own_sum(as_, alice, written):
    assert as_(alice).data("GET", "/api/log/self/stat/") == {"quota": 3}
    assert as_(alice).data("GET", "/api/log/self/stat?channel=2&username=bob") == {"quota": 2}


def test_search(as_, admin, alice, written):
    ids = lambda keyword: [row["id"] for row in as_(admin).data("GET", f"/api/log/search?keyword={keyword}")]  # noqa: E731
    assert ids("entry 4") == [4] and ids("2") == [3, 2, 1] and ids("ntry") == [] and ids("%25") == []
    own = as_(alice).data("GET", "/api/log/self/search?keyword=2")
    assert [row["created_at"] for row in own] == [200, 100]
    assert as_(alice).data("GET", "/api/log/self/search?keyword=entry") == []


def test_a_list_says_where_it_goes_on_and_a_whole_one_says_nothing(as_, admin, state, written):
    for path in ("/api/log/?type=5", "/api/log/?type=2", "/api/log/search?keyword=nothing", "/api/log/search?keyword=2"):
        assert set(as_(admin).raw("GET", path).get_json()) == {"success", "message", "data"}
    with state.databases.logs() as session:
        assert _continued(session, Page([], before=4, looked=3)) == {"complete": False, "since": 300, "before": 4}
    assert [row["id"] for row in as_(admin).data("GET", "/api/log/search?keyword=entry&before=3")] == [2, 1]


def test_old_logs_are_deleted_for_good(as_, admin, root, written):
    assert as_(admin).refused("DELETE", "/api/log/") == "target timestamp is required"
    answer = as_(admin).raw("DELETE", "/api/log/?target_timestamp=300").get_json()
    assert (answer["success"], answer["data"]) == (True, 2)
    assert jobs.wait()
    [run] = [each for each in as_(root).data("GET", "/api/job/")["runs"] if each["id"] == answer["job"]]
    assert (run["state"], run["progress"]) == ("done", {"expected": 2, "deleted": 2})
    assert [row["id"] for row in as_(admin).data("GET", "/api/log/")] == [5, 4, 3]
    [act] = as_(root).data("GET", "/api/audit/?noun=log")
    assert act["difference"] == {"before": [None, 300], "count": [None, 2]}


def test_failed_requests_are_of_a_type_of_their_own(as_, state, alice, admin):
    """Old clients read them as they read all others: every key is there, and the cost is nothing."""
    detail = {"status": 502, "code": "vendor_error", "attempts": [{"channel": 7, "status": 500}]}
    with state.databases.logs() as session:
        session.add(log.Log(type=log.Kind.ERROR, user_id=alice.id, created_at=5, content="boom", detail=json.dumps(detail)))
    (row,) = as_(admin).data("GET", "/api/log/?type=6")
    assert set(row) == KEYS and (row["type"], row["quota"], row["content"], row["detail"]) == (6, 0, "boom", detail)
    assert row in as_(admin).data("GET", "/api/log/") and as_(admin).data("GET", "/api/log/search?keyword=6") == [row]
    assert as_(alice).data("GET", "/api/log/self?type=6") == [row | {"id": 0, "detail": {"status": 502, "code": "vendor_error"}}]
    assert as_(admin).data("GET", "/api/log/stat?type=6") == {"quota": 0}


def test_hours_in_which_everything_failed_are_no_usage(as_, state, alice):
    hour = int(state.clock()) // 3600 * 3600
    with state.databases.transaction() as session:
        none = dict.fromkeys(("requests", "quota", "prompt_tokens", "completion_tokens", "elapsed_time"), 0)
        session.add(rollup.Hour(hour=hour, user_id=alice.id, token_id=1, channel_id=0, model_name="", errors=4, **none))
    assert as_(alice).data("GET", "/api/user/dashboard") == [] == as_(alice).data("GET", "/api/usage")["days"]


def test_many_logs_are_deleted_in_the_background(as_, admin, state, alice):
    """The answer does not wait for them; a second deletion is refused while the first one runs."""
    with state.databases.logs() as session:
        rows = [{"user_id": alice.id, "created_at": at, "type": 2} for at in range(1, 3501)]
        session.execute(insert(log.Log), rows)
    answer = as_(admin).raw("DELETE", "/api/log/?target_timestamp=3401").get_json()
    assert answer["data"] == 3400 and as_(admin).data("GET", "/api/log/?page_size=1"), "none of it is waited for"
    assert as_(admin).raw("DELETE", "/api/log/?target_timestamp=3401").get_json()["success"] is False
    assert jobs.wait()
    with state.databases.logs() as session:
        assert session.scalar(select(func.count()).select_from(log.Log)) == 100


def test_a_count_of_many_old_logs_is_estimated(as_, admin, state, alice, monkeypatch):
    monkeypatch.setattr(log, "COUNTED", 100)
    with state.databases.logs() as session:
        session.execute(insert(log.Log), [{"user_id": alice.id, "created_at": at, "type": 2} for at in range(1, 501)])
        assert [log.count_before(session, at) for at in (1, 51, 401)] == [0, 50, 400]
