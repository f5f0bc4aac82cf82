"""Jobs, the first steps, the system page and the audit trail."""

import json
import re
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from oneapi import jobs
from oneapi.models.audit import Audit
from oneapi.models.job import JobRun

SECRETS = {
    "SESSION_SECRET": "the-session-secret",
    "ENCRYPTION_KEY": "the-encryption-key-itself",
    "INITIAL_ROOT_ACCESS_TOKEN": "the-first-access-token",
}


@pytest.fixture
def settings_of_environment(settings_of_environment: dict[str, str]) -> dict[str, str]:
    return settings_of_environment | SECRETS


def wait(holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        gevent.sleep(0.02)
    raise AssertionError("it did not come about")


def test_a_job_is_run_by_hand_and_its_result_stays(browse: Any, admin: Any, channel: Any) -> None:
    channel()
    browser = browse(admin)
    assert browser.post("/job/channel-tests/run").location == "/job"
    wait(lambda: "running" not in browser.get("/job").text)
    said = browser.get("/job").text
    assert "Test all channels" in said and re.search(r"badge ok[^>]*>.{0,60}done", said, re.DOTALL)


def test_the_page_polls_itself_while_a_job_runs_and_no_longer(browse: Any, admin: Any, state: Any) -> None:
    browser = browse(admin)
    with state.databases.transaction() as session:
        session.add(JobRun(name="balances", worker="elsewhere", state="running", started_at=1, alive_at=1, stop_requested=0,
                           progress=json.dumps({"total": 8, "done": 3})))  # fmt: skip
    fragment = browser.ask("/job", "list").text
    assert 'hx-trigger="every 2s"' in fragment and "<html" not in fragment
    assert 'max="8"' in browser.ask("/job/balances/banner", "run").text
    assert browser.post("/job/balances/stop").status_code == 303
    with state.databases.transaction() as session:
        run = session.query(JobRun).filter_by(name="balances").one()
        assert run.stop_requested == 1
        run.state = "stopped"
    assert "every 2s" not in browser.ask("/job", "list").text
    assert browser.ask("/job/balances/banner", "run").status_code == 286


def test_an_unknown_job_is_not_found(browse: Any, admin: Any) -> None:
    assert browse(admin).post("/job/make-coffee/run").status_code == 404


def test_every_job_is_listed(browse: Any, admin: Any) -> None:
    said = browse(admin).get("/job").text
    assert all(f"<code>{job.name}</code>" in said for job in jobs.JOBS)


def test_the_first_steps_tick_themselves_and_go(browse: Any, root: Any, setting: Any, channel: Any, logged: Any) -> None:
    browser = browse(root)
    ticked = lambda: re.search(r"(\d) / 5", browser.ask("/dashboard/checklist", "checklist").text).group(1)  # type: ignore[union-attr]  # noqa: E731
    assert ticked() == "1"
    setting(ServerAddress="https://api.example.com")
    assert ticked() == "2"
    channel()
    assert ticked() == "4"  # root's key was there before
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    browser.client.post("/v1/chat/completions", json=body, headers=root.headers, buffered=True)
    assert logged()
    gone = browser.ask("/dashboard/checklist", "checklist")
    assert gone.status_code == 286 and gone.headers["HX-Refresh"] == "true"
    assert 'id="checklist"' not in browser.get("/dashboard").text


def test_the_first_steps_can_be_hidden_and_are_roots_alone(browse: Any, root: Any, admin: Any) -> None:
    browser = browse(root)
    assert 'id="checklist"' in browser.get("/dashboard").text
    browser.post("/dashboard/checklist")
    assert 'id="checklist"' not in browser.get("/dashboard").text
    assert 'id="checklist"' not in browse(admin).get("/dashboard").text


def test_the_system_page_names_every_variable_and_shows_no_secret(browse: Any, root: Any) -> None:
    said = browse(root).get("/system").text
    assert all(name in said for name in ("SQL_DSN", "REDIS_CONN_STRING", *SECRETS))
    assert not [secret for secret in SECRETS.values() if secret in said]


def test_the_audit_trail_is_searched_and_read_on(browse: Any, root: Any, state: Any) -> None:
    with state.databases.transaction() as session:
        for n in range(60):
            changed = json.dumps({"name": ["old", f"new-{n}"], "weight": [0, n]})
            session.add(Audit(created_at=1_700_000_000 + n, actor_id=1, actor_name="mallory" if n == 7 else "root",
                              action="channel.update", noun="channel", noun_id=str(n), difference=changed))  # fmt: skip
    browser = browse(root)
    first = browser.get("/audit?noun=channel").text
    assert "new-59" in first and "new-9<" not in first
    older = re.search(r'href="(/audit\?[^"]*before=\d+[^"]*)"', first)
    assert older is not None
    more = browser.ask(older.group(1).replace("&amp;", "&"), "older").text
    assert "new-9<" in more and "<html" not in more and "new-59" not in more
    found = browser.get("/audit?q=mallory").text
    assert "new-7<" in found and "new-8<" not in found


def test_the_trail_says_that_a_secret_changed_and_not_to_what(browse: Any, root: Any) -> None:
    browser = browse(root)
    browser.post("/setting/email", SMTPServer="mail.example.com", SMTPPort="587", SMTPToken="the-mail-password")
    said = browser.get("/audit?noun=option").text
    assert "SMTPToken" in said and "mail.example.com" in said and "the-mail-password" not in said
