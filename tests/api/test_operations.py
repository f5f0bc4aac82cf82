"""What runs by itself, watched and steered through the API, and the audit trail."""

import gevent
import pytest

from oneapi import jobs


@pytest.fixture(autouse=True)
def ended():
    yield
    jobs.stop()


@pytest.fixture
def environ():
    return {"POLLING_INTERVAL": "3600"}


def runs(as_, root, name):
    return [run for run in as_(root).data("GET", "/api/job/")["runs"] if run["name"] == name]


def test_a_run_is_watched_while_it_works_and_stopped_between_two_steps(as_, root, channel, vendor):
    channel(name="first"), channel(name="second")
    id = as_(root).data("POST", "/api/job/channel-tests")
    for _ in range(500):
        [run] = runs(as_, root, "channel-tests")
        if run["progress"].get("done") == 1:
            break
        gevent.sleep(0.01)
    assert (run["id"], run["state"], run["ended_at"]) == (id, "running", None)
    assert run["progress"].items() >= {"done": 1, "total": 2, "failed": 0, "current": "first"}.items()
    assert as_(root).refused("POST", "/api/job/channel-tests/") == "测试已在运行中"
    assert as_(root).data("DELETE", "/api/job/channel-tests") is True
    assert jobs.wait(20)
    [run] = runs(as_, root, "channel-tests")
    assert run["state"] == "stopped" and run["ended_at"] >= run["started_at"] and len(vendor.asked) == 1
    assert as_(root).data("DELETE", "/api/job/channel-tests/") is False, "nothing runs any more"
    told = [(row["action"], row["noun_id"]) for row in as_(root).data("GET", "/api/audit/?noun=job")]
    assert told == [("job.stop", "channel-tests"), ("job.begin", "channel-tests")]


def test_every_job_is_listed_with_its_period(as_, root):
    listed = as_(root).data("GET", "/api/job")["jobs"]
    assert [each["name"] for each in listed] == [each.name for each in jobs.JOBS]
    assert {each["name"]: each["period"] for each in listed}["sweep"] == 600


@pytest.mark.parametrize("language, said", [("zh", "没有名为 nonsense 的任务"), ("en", "There is no job called nonsense.")])
def test_an_unknown_job_is_named(as_, root, language, said):
    assert as_(root).refused("POST", "/api/job/nonsense", Accept_Language=language) == said


def test_a_run_that_fails_says_why(as_, root, monkeypatch):
    def work(run):
        raise ValueError("the reason")

    monkeypatch.setitem(jobs.BY_NAME, "sweep", jobs.Job("sweep", lambda state: 0, work, "Sweep"))
    as_(root).data("POST", "/api/job/sweep")
    assert jobs.wait(20)
    [run] = runs(as_, root, "sweep")
    assert (run["state"], run["error"]) == ("failed", "ValueError: the reason")


def test_the_audit_trail_is_paged_and_filtered_and_holds_no_secret(as_, root, admin, alice):
    for number in range(12):
        as_(root).data("PUT", "/api/option/", {"key": "SystemName", "value": f"Gate {number}"})
    as_(root).data("PUT", "/api/option/", {"key": "SMTPToken", "value": "hush-hush"})
    as_(root).data("PUT", "/api/user/", {"id": alice.id, "password": "hush-hush", "display_name": "Al"})
    first, second = (as_(root).raw("GET", f"/api/audit/?noun=option&p={p}") for p in (0, 1))
    assert [len(page.get_json()["data"]) for page in (first, second)] == [10, 3] and first.headers["X-Total-Count"] == "13"
    rows = as_(root).data("GET", "/api/audit/?page_size=100")
    assert [row["id"] for row in rows] == sorted((row["id"] for row in rows), reverse=True)
    assert "hush-hush" not in str(rows)
    [change] = [row for row in rows if row["noun"] == "user"]
    assert (change["actor_name"], change["noun_id"], change["action"]) == ("rootling", str(alice.id), "user.update")
    assert change["difference"] == {"password": ["(hidden)", "(hidden)"], "display_name": ["alice", "Al"]}
    assert rows[1]["difference"] == {"SMTPToken": ["", "(hidden)"]} and rows[2]["difference"] == {
        "SystemName": ["Gate 10", "Gate 11"]
    }  # fmt: skip
