"""Jobs: one process at a time, readable progress, clean ends; and what each of them does."""

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import bare
import fake_vendor
import gevent
import pytest
from fake_mail import Mailbox
from flask import Flask

from oneapi import chores, jobs, notify
from oneapi.actions import SYSTEM, channels, options, pricecheck
from oneapi.catalog import prices
from oneapi.chores import Run
from oneapi.jobs import Job
from oneapi.messages import Refused
from oneapi.models import code, ledger, log
from oneapi.models.channel import Channel, Status
from oneapi.models.job import JobLease, JobRun
from oneapi.models.rollup import Hour
from oneapi.models.user import User
from oneapi.state import State

DAY = 86400
BROKEN = {"error": {"message": "no such key", "code": "invalid_api_key", "type": "invalid_request_error"}}


@pytest.fixture
def environ() -> dict[str, str]:
    return {}


@pytest.fixture
def app(tmp_path: Any, environ: dict[str, str]) -> Iterator[Flask]:
    made = bare.app(tmp_path, **environ)
    yield made
    jobs.stop()
    made.extensions["oneapi"].databases.dispose()


@pytest.fixture
def put(state: State) -> Callable[..., None]:
    return lambda **values: options.save(state, SYSTEM, values)


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    """Add a job to the table for this test."""

    def add(function: Callable[[Run], None], name: str = "errand", period: int = 60) -> Job:
        made = Job(name, lambda state: period, function, name)
        monkeypatch.setattr(jobs, "JOBS", (*jobs.JOBS, made))
        monkeypatch.setitem(jobs.BY_NAME, name, made)
        return made

    return add


def runs(state: State, name: str) -> list[JobRun]:
    with state.databases.transaction() as session:
        return session.query(JobRun).filter_by(name=name).order_by(JobRun.id).all()


def lease(state: State, name: str) -> JobLease:
    with state.databases.transaction() as session:
        return session.get(JobLease, name)


def status(state: State, id: int) -> int:
    with state.databases.transaction() as session:
        return session.get(Channel, id).status


# Running


def test_a_run_leaves_its_progress(state, job):
    job(lambda run: run.say(done=3, total=3))
    assert jobs.run(state, "errand") == "done"
    [run] = runs(state, "errand")
    assert (run.state, json.loads(run.progress), run.started_at, run.ended_at) == (
        "done",
        {"done": 3, "total": 3},
        bare.NOW,
        bare.NOW,
    )
    assert (lease(state, "errand").until, lease(state, "errand").next_run) == (0, bare.NOW + 60)


def test_progress_is_readable_while_it_runs(state, job):
    seen = []

    def work(run: Run) -> None:
        run.say(done=1)
        seen.append((runs(state, "errand")[0].state, json.loads(runs(state, "errand")[0].progress)))

    job(work)
    jobs.run(state, "errand")
    assert seen == [("running", {"done": 1})]


def test_a_job_runs_once_at_a_time(state, job):
    def work(run: Run) -> None:
        with pytest.raises(Refused, match="job_running"):
            jobs.run(state, "errand")

    job(work)
    assert jobs.run(state, "errand") == "done" and len(runs(state, "errand")) == 1


def test_a_failure_is_written_down_and_told_and_does_not_stop_the_next(state, job, put, vendor):
    def work(run: Run) -> None:
        raise ValueError("the reason")

    put(WebhookUrl=vendor.url)
    job(work)
    job(lambda run: run.say(fine=True), "other")
    assert [jobs.run(state, name) for name in ("errand", "other")] == ["failed", "done"]
    [run] = runs(state, "errand")
    assert (run.state, run.error) == ("failed", "ValueError: the reason")
    assert notify.drain() and vendor.asked[0].json["event"] == "job_failed"
    assert lease(state, "errand").until == 0


def test_a_running_job_can_be_stopped(state, job):
    def work(run: Run) -> None:
        run.say(done=1)
        assert jobs.stop_run(state, "errand")
        run.say(done=2)
        raise AssertionError("it went on")

    job(work)
    assert jobs.run(state, "errand") == "stopped"
    assert runs(state, "errand")[0].state == "stopped" and not jobs.stop_run(state, "errand")


def test_a_stop_asked_for_in_another_process_is_noticed(state, job):
    def work(run: Run) -> None:
        with state.databases.transaction() as session:
            session.get(JobRun, run.id).stop_requested = 1
        run.say(done=1)
        raise AssertionError("it went on")

    job(work)
    assert jobs.run(state, "errand") == "stopped"


def test_a_run_that_lost_its_lease_ends(state, job):
    def work(run: Run) -> None:
        with state.databases.transaction() as session:
            session.get(JobLease, "errand").worker = "another process"
        run.say(done=1)
        raise AssertionError("two would work at once")

    job(work)
    assert jobs.run(state, "errand") == "stopped"
    assert lease(state, "errand").worker == "another process", "what is not ours is not given back"


def test_the_end_of_a_process_ends_its_runs_cleanly(state, job):
    job(lambda run: run.pause(3600))
    jobs.begin(state, "errand")
    gevent.sleep(0.01)
    jobs.stop()
    assert runs(state, "errand")[0].state == "stopped" and lease(state, "errand").until == 0


def test_a_step_that_outlasts_the_process_is_ended_too(state, job, monkeypatch):
    monkeypatch.setattr(jobs, "PATIENCE", 0.05)
    job(lambda run: gevent.sleep(3600))
    jobs.begin(state, "errand")
    gevent.sleep(0.01)
    jobs.stop()
    assert runs(state, "errand")[0].state == "stopped" and lease(state, "errand").until == 0


def test_a_step_that_takes_long_keeps_its_lease(state, job, monkeypatch):
    monkeypatch.setattr(jobs, "BEAT_SECONDS", 0.01)
    seen = []

    def work(run: Run) -> None:
        state.clock.now += 50
        while lease(state, "errand").until < state.clock.now + 60:
            gevent.sleep(0.01)
        seen.append(lease(state, "errand").until)

    job(work)
    assert jobs.run(state, "errand") == "done" and seen == [bare.NOW + 110]


def test_a_process_that_died_is_followed_by_another(state, job):
    with state.databases.transaction() as session:
        session.add(JobLease(name="errand", worker="dead", until=bare.NOW + 60, next_run=0))
        session.add(
            JobRun(name="errand", worker="dead", state="running", started_at=bare.NOW, alive_at=bare.NOW, stop_requested=0)
        )
    job(lambda run: None)
    with pytest.raises(Refused):
        jobs.run(state, "errand")
    state.clock.now += 61
    assert jobs.run(state, "errand") == "done"
    assert runs(state, "errand")[0].state == "stopped" and "ended" in runs(state, "errand")[0].error


# What is due


def test_a_job_runs_a_period_after_it_was_seen_first_and_then_again(state, job):
    job(lambda run: None, period=60)
    for seconds, due in ((0, False), (59, False), (60, True), (61, False), (120, True)):
        state.clock.now = bare.NOW + seconds
        assert ("errand" in jobs.tick(state)) is due, seconds
        jobs.wait()


def test_a_shorter_period_brings_the_next_run_forward(state, job):
    job(lambda run: None, period=3600)
    jobs.tick(state)
    job(lambda run: None, period=10)
    jobs.tick(state)
    assert lease(state, "errand").next_run == bare.NOW + 10


def test_a_period_of_zero_means_never_by_itself(state):
    assert {entry.name for entry in jobs.JOBS if not entry.period(state)} == {
        "channel-tests", "balances", "recovery", "log-retention", "reminders",
    }  # fmt: skip
    state.clock.now += 10 * DAY
    assert "channel-tests" not in jobs.tick(state)


@pytest.mark.parametrize("environ", [{"CHANNEL_TEST_FREQUENCY": "5", "CHANNEL_UPDATE_FREQUENCY": "7"}])
def test_periods_come_from_the_environment(state):
    assert [jobs.BY_NAME[name].period(state) for name in ("channel-tests", "balances")] == [300, 420]


@pytest.mark.parametrize("environ, loops", [({"NODE_TYPE": "slave"}, False), ({}, True)])
def test_slaves_look_after_nothing(state, job, monkeypatch, loops):
    monkeypatch.setattr(jobs, "TICK", 0.01)
    ran = []
    job(lambda run: ran.append(run.name))
    with state.databases.transaction() as session:
        session.add(JobLease(name="errand", worker="", until=0, next_run=0))
    jobs.start(state)
    gevent.sleep(0.2)
    assert ran == (["errand"] if loops else [])


def test_quiet_jobs_leave_no_trace_when_nothing_was_to_do(state):
    assert jobs.run(state, "sweep") == "done" and runs(state, "sweep") == []


def test_an_unknown_job_is_named(state):
    with pytest.raises(Refused) as refused:
        jobs.run(state, "nonsense")
    assert "nonsense" in refused.value.text()


# Channel tests


@pytest.fixture
def disabling(put):
    put(AutomaticDisableChannelEnabled="true", AutomaticEnableChannelEnabled="true", ChannelDisableThreshold="60")


def test_a_channel_whose_key_is_refused_is_disabled(state, channel, vendor, disabling):
    vendor.always(BROKEN, status=401)
    id = channel()
    assert jobs.run(state, "channel-tests") == "done"
    assert status(state, id) == Status.AUTO_DISABLED and not state.snapshot.candidates
    with state.databases.transaction() as session:
        assert "no such key" in session.get(Channel, id).status_reason
        assert session.query(log.Log).filter_by(type=5).one().content.startswith("渠道 fake 测试失败，错误：")
    assert json.loads(runs(state, "channel-tests")[0].progress) == {"done": 1, "total": 1, "failed": 1}


@pytest.mark.parametrize("reply, code_", [({"error": {"message": "credit balance"}}, 400), ({"error": {"message": "x"}}, 500)])
def test_other_failures_disable_nothing(state, channel, vendor, disabling, reply, code_):
    vendor.always(reply, status=code_)
    id = channel()
    jobs.run(state, "channel-tests")
    assert status(state, id) == Status.ENABLED


def test_nothing_is_disabled_unless_that_is_wanted(state, channel, vendor):
    vendor.always(BROKEN, status=401)
    id = channel()
    jobs.run(state, "channel-tests")
    assert status(state, id) == Status.ENABLED


def test_a_slow_channel_is_disabled_or_only_told(state, channel, vendor, put):
    id = channel()
    with state.databases.transaction() as session:
        row = session.get(Channel, id)
    slow = channels.probe.Result(True, "hi", 9.5, "gpt-4o")
    assert channels.judge(state, row, slow) == "slow" and status(state, id) == Status.ENABLED
    put(AutomaticDisableChannelEnabled="true")
    assert channels.judge(state, row, slow) == "disabled" and status(state, id) == Status.AUTO_DISABLED
    put(ChannelDisableThreshold="0")
    assert channels.judge(state, row, slow) == ""


def test_only_what_was_disabled_automatically_recovers(state, channel, vendor, disabling):
    automatic, by_hand = channel(status=Status.AUTO_DISABLED), channel(status=Status.DISABLED)
    jobs.run(state, "channel-tests", scope="disabled")
    assert (status(state, automatic), status(state, by_hand)) == (Status.ENABLED, Status.DISABLED)
    assert len(vendor.asked) == 2


def test_recovery_does_not_even_ask_the_others(state, channel, vendor, disabling):
    automatic, by_hand, fine = channel(status=Status.AUTO_DISABLED), channel(status=Status.DISABLED), channel()
    jobs.run(state, "recovery")
    assert [status(state, id) for id in (automatic, by_hand, fine)] == [Status.ENABLED, Status.DISABLED, Status.ENABLED]
    assert len(vendor.asked) == 1


def test_recovery_by_itself_rests_as_long_as_a_channel_has_been_down():
    row, tried = Channel(status_time=bare.NOW), []
    for minute in range(24 * 60):
        if chores.worth_a_try(row, bare.NOW + minute * 60):
            row.test_time = bare.NOW + minute * 60
            tried.append(minute)
    assert tried == [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1360], "twice as long each time, six hours at most"


def test_recovery_by_itself_is_patient_and_a_person_need_not_be(state, channel, vendor, disabling):
    vendor.always(BROKEN, status=401, headers={"Date": "unknown"})  # or its clock, which is not ours, is worth another try
    id = channel(status=Status.AUTO_DISABLED, status_time=bare.NOW)
    for minute, asked in ((0, 0), (2, 0), (6, 1), (8, 1), (20, 2)):
        state.clock.now = bare.NOW + minute * 60
        jobs.tick(state)
        assert jobs.wait() and len(vendor.asked) == asked, minute
    vendor.always(fake_vendor.chat())
    jobs.run(state, "recovery")
    assert status(state, id) == Status.ENABLED


def test_an_empty_account_recovers_when_it_was_filled(state, channel, vendor, disabling, put):
    put(ChannelBalanceThreshold="2")
    id = channel(status=Status.AUTO_DISABLED, status_reason="余额不足")
    for left, expected in ((1, Status.AUTO_DISABLED), (3, Status.ENABLED)):
        vendor.says(fake_vendor.chat(), {"hard_limit_usd": left, "has_payment_method": True}, {"total_usage": 0})
        jobs.run(state, "channel-tests")
        assert status(state, id) == expected
    assert not vendor.queue


def test_who_asked_for_tests_is_told_when_they_are_done(state, channel, vendor, put):
    put(WebhookUrl=f"{vendor.url}/hook")
    channel()
    jobs.run(state, "channel-tests", asked=True)
    assert notify.drain()
    assert [asked.json["data"] for asked in vendor.asked if asked.path == "/hook"] == [{"total": 1, "failed": 0}]


@pytest.mark.parametrize("environ", [{"POLLING_INTERVAL": "3600"}])
def test_tests_are_paced_and_stop_between_two(state, channel, vendor):
    channel(), channel()
    jobs.begin(state, "channel-tests")
    while not vendor.asked:
        gevent.sleep(0.01)
    jobs.stop_run(state, "channel-tests")
    assert jobs.wait(20)
    assert len(vendor.asked) == 1 and runs(state, "channel-tests")[0].state == "stopped"


def test_an_empty_account_is_disabled_when_that_is_wanted(state, channel, vendor, disabling):
    vendor.says({"hard_limit_usd": 5, "has_payment_method": True}, {"total_usage": 500})
    id = channel()
    jobs.run(state, "balances")
    with state.databases.transaction() as session:
        row = session.get(Channel, id)
    assert (row.balance, row.status, row.status_reason) == (0, Status.AUTO_DISABLED, "余额不足")


def test_vendors_that_tell_no_balance_do_not_stop_the_others(state, channel, vendor):
    channel(type=3)
    id = channel()
    vendor.says({"hard_limit_usd": 5, "has_payment_method": True}, {"total_usage": 100})
    assert jobs.run(state, "balances") == "done"
    with state.databases.transaction() as session:
        assert session.get(Channel, id).balance == 4
    assert json.loads(runs(state, "balances")[0].progress)["failed"] == 1


# The others


def test_prices_that_differ_are_reported_and_nothing_else(state):
    before = dict(prices.BUILT_IN)
    assert jobs.run(state, "price-check") == "done"
    found = json.loads(runs(state, "price-check")[0].progress)
    assert found["compared"] > 500 and found["differing"] == len(found["differences"])
    assert all(each["ours"] != each["theirs"] for each in found["differences"]) and before == prices.BUILT_IN


@pytest.mark.parametrize("ours, theirs", [("Acme", "acme"), ("Acme AI", "acme-ai"), ("Acme", "acme-ai"), ("Acme, older", "acme")])
def test_vendors_are_found_by_their_names(ours, theirs):
    others = [SimpleNamespace(id=name, name=name.title()) for name in ("ac", "other", "acme-decisions", theirs)]
    assert pricecheck._provider(ours, others[:2]) is None
    assert pricecheck._provider(ours, others[::-1]).id == theirs


def test_old_logs_go_and_young_ones_stay(state, put, monkeypatch):
    monkeypatch.setattr("oneapi.actions.logs.BATCH", 2)
    with state.databases.logs() as session:
        session.add_all(log.Log(type=2, created_at=bare.NOW - days * DAY) for days in (40, 31, 31, 31, 29, 0))
    jobs.run(state, "log-retention")
    put(LogRetentionDays="30")
    jobs.run(state, "log-retention")
    with state.databases.logs() as session:
        assert session.query(log.Log).count() == 2
    assert json.loads(runs(state, "log-retention")[-1].progress) == {"deleted": 4}


def test_expired_codes_are_forgotten(state):
    with state.databases.transaction() as session:
        for subject, expires_at in (("old", bare.NOW), ("young", bare.NOW + 1)):
            code.issue(session, "email", subject, "secret", expires_at=expires_at)
    jobs.run(state, "sweep")
    with state.databases.transaction() as session:
        assert [row.subject for row in session.query(code.Code)] == ["young"]


def use(state: State, name: str = "alice") -> None:
    """Something of somebody's quota was used just now."""
    with state.databases.transaction() as session:
        id = session.query(User).filter_by(username=name).one().id
        hour = bare.NOW - bare.NOW % 3600
        session.add(Hour(hour=hour, user_id=id, token_id=0, channel_id=0, model_name="gpt-4o", requests=1))


def test_people_are_reminded_once_per_crossing(state, put):
    def set_(quota: int) -> list[str]:
        with state.databases.transaction() as session:
            session.query(User).filter_by(username="alice").update({"quota": quota, "email": "alice@example.com"})
        jobs.run(state, "reminders")
        assert notify.drain()
        return [mail.text for mail in box.mails]

    with Mailbox() as box:
        put(SMTPServer="127.0.0.1", SMTPPort=str(box.port), SMTPFrom="gateway@example.com", QuotaRemindThreshold="1000")
        assert set_(10) == [], "who has used nothing lately is left in peace"
        use(state)
        assert set_(1000) == []
        [low] = set_(999)
        assert "＄0.001998" in low and "http://localhost:3000/topup" in low
        assert len(set_(500)) == 1
        assert len(set_(0)) == 2 and len(set_(0)) == 2, "once more when everything is used up"
        assert len(set_(5000)) == 2
        assert len(set_(10)) == 3, "a new crossing is new"


def test_reminders_wait_for_a_mail_server_that_is_away(state, put):
    use(state)
    with state.databases.transaction() as session:
        session.query(User).filter_by(username="alice").update({"quota": 10, "email": "alice@example.com"})
    put(SMTPServer="127.0.0.1", SMTPPort="1", SMTPFrom="gateway@example.com")
    assert jobs.run(state, "reminders") == "done"
    with Mailbox() as box:
        put(SMTPPort=str(box.port))
        jobs.run(state, "reminders")
        jobs.run(state, "reminders")
        assert len(box.mails) == 1


def test_what_a_worker_holds_reminds_nobody(state, put):
    use(state)
    with Mailbox() as box:
        put(SMTPServer="127.0.0.1", SMTPPort=str(box.port), SMTPFrom="gateway@example.com")
        with state.databases.transaction() as session:
            row = session.query(User).filter_by(username="alice").one()
            row.quota, row.email = 10, "alice@example.com"
            session.add(ledger.Lease(worker="w", kind="user", owner_id=row.id, serial=1, amount=5000, spent=0, created_at=1))
        jobs.run(state, "reminders")
        assert notify.drain() and box.mails == []


def test_what_dead_workers_leased_returns(state):
    with state.databases.transaction() as session:
        row = session.query(User).filter_by(username="alice").one()
        before = row.quota
        session.add(ledger.Lease(worker="dead", kind="user", owner_id=row.id, serial=1, amount=50, spent=20, created_at=1))
    assert jobs.run(state, "lease-sweep") == "done"
    with state.databases.transaction() as session:
        assert session.query(User).filter_by(username="alice").one().quota == before + 30
        assert session.query(ledger.Lease).count() == 0


def test_forked_processes_have_names_of_their_own(monkeypatch):
    here = chores.worker()
    monkeypatch.setattr("os.getpid", lambda: 1)
    assert chores.worker() != here
