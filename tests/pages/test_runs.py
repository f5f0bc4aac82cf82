"""Runs of jobs: their counters in the reader's language, and their news while they go on."""

import json
from typing import Any

from oneapi import jobs
from oneapi.models import audit
from oneapi.models.job import JobRun


def remember(app_state: Any, /, **columns: Any) -> None:
    with app_state.databases.transaction() as session:
        session.add(JobRun(**{"name": "log-retention", "state": "done", "started_at": 1, "ended_at": 2} | columns))


def test_counters_of_a_run_are_in_the_readers_language(browse: Any, root: Any, state: Any) -> None:
    remember(state, progress=json.dumps({"deleted": 3}))
    remember(state, name="channel-tests", progress=json.dumps({"done": 5, "total": 8, "failed": 2, "at": 4}), state="stopped")
    reader = browse(root)
    said = reader.get("/job").text
    assert "3 entries deleted" in said and "5 of 8 done" in said and "3 good · 2 failed" in said
    reader.client.set_cookie("lang", "zh_CN")
    said = reader.get("/job").text
    assert "删除了 3 条" in said and "entries" not in said


def test_a_lost_run_says_why_it_ended(browse: Any, root: Any, state: Any) -> None:
    remember(state, state="stopped", error="The process that ran it ended.")
    reader = browse(root)
    reader.client.set_cookie("lang", "zh_CN")
    assert "执行它的进程已结束。" in reader.get("/job").text


def test_differences_of_prices_are_shown(browse: Any, root: Any, state: Any) -> None:
    line = {"vendor": "openai", "model": "gpt-4o", "figure": "in", "ours": 2.5, "theirs": 3.0}
    remember(state, name="price-check", progress=json.dumps({"compared": 9, "differing": 1, "differences": [line]}))
    said = browse(root).get("/job").text
    assert "9 figures compared" in said and "1 differs" in said and "gpt-4o" in said and "differences 1" not in said


def test_the_news_of_a_run_tell_the_banner_and_rows_and_then_its_end(browse: Any, admin: Any, channel: Any, state: Any) -> None:
    id, now = channel(test_time=int(state.clock())), int(state.clock())
    progress = json.dumps({"done": 1, "total": 2, "failed": 0, "at": id, "current": "one"})
    remember(state, name="channel-tests", state="running", started_at=now, ended_at=None, alive_at=now, progress=progress)
    answer = browse(admin).get("/job/channel-tests/events", buffered=False)
    assert answer.mimetype == "text/event-stream" and answer.headers["X-Accel-Buffering"] == "no"
    pieces = iter(answer.response)
    row, banner = next(pieces).decode(), next(pieces).decode()
    assert row.startswith("event: row\ndata: <tr") and f'id="channel-{id}"' in row and "loader-2" in row
    assert banner.startswith("event: progress\n") and "1 / 2" in banner
    with state.databases.transaction() as session:
        session.query(JobRun).update({"state": "done"})
    assert next(pieces).decode().startswith("event: done\n")


def test_nobody_else_hears_the_news(browse: Any, alice: Any, admin: Any) -> None:
    assert browse(alice).get("/job/channel-tests/events").status_code == 403
    assert browse(admin).get("/job/nothing/events").status_code == 404


def test_who_began_a_job_is_written_down(browse: Any, admin: Any, state: Any) -> None:
    assert browse(admin).post("/job/sweep/run").status_code == 303
    assert jobs.wait(20)
    with state.databases.transaction() as session:
        told = [(row.action, row.noun_id, row.actor_name) for row in session.query(audit.Audit)]
    assert told == [("job.begin", "sweep", "admin")]
