"""Work that is done by itself: a table of jobs, each run by one process at a time, and what became of each run."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import gevent
from gevent.event import Event

from oneapi import chores, logs, notify
from oneapi.actions import Actor, act, record
from oneapi.actions import logs as old_logs
from oneapi.chores import LEASE_SECONDS, Run, Stopped
from oneapi.db import TROUBLE
from oneapi.messages import Refused
from oneapi.models import job
from oneapi.models.job import JobRun
from oneapi.state import State

log = logging.getLogger(__name__)

TICK = 2.0  # seconds between two looks at what is due
BEAT_SECONDS = 3.0  # between two signs of life, and looks whether somebody wants the run to stop
PATIENCE = 5.0  # seconds that running jobs get for their step when the process ends
NEVER = 2**40  # the next run of a job that does not run by itself


@dataclass(frozen=True, slots=True)
class Job:
    """`period` gives the seconds between two runs, 0 for never by itself; `title` is for people."""

    name: str
    period: Callable[[State], int]
    function: Callable[[Run], None]
    title: str


JOBS = (
    Job("channel-tests", lambda s: s.config.channel_test_frequency * 60, chores.test_channels, "Test all channels"),
    Job("balances", lambda s: s.config.channel_update_frequency * 60, chores.update_balances, "Update all balances"),
    Job(
        "recovery", lambda s: 60 if s.settings.automatic_enable_channel_enabled else 0, chores.recover_channels,
        "Test channels that were disabled automatically",
    ),
    Job("log-retention", lambda s: 3600 if s.settings.log_retention_days else 0, chores.delete_old_logs, "Delete old logs"),
    Job("reminders", lambda s: 60 if s.settings.smtp_server else 0, chores.remind, "Mail people whose quota runs low"),
    Job("price-check", lambda s: 7 * 86400, chores.compare_prices, "Compare built-in prices with the public collection"),
    Job("sweep", lambda s: 600, chores.sweep, "Forget expired codes and old runs"),
    Job("lease-sweep", lambda s: 30, chores.sweep_leases, "Take back what dead workers had leased"),
)  # fmt: skip
BY_NAME = {entry.name: entry for entry in JOBS}
QUIET = {"sweep", "lease-sweep", "reminders", "recovery", "log-retention"}  # runs that found nothing to do leave no trace


# Running it


def run(state: State, name: str, *, due: bool = False, **arguments: Any) -> str:
    """Run a job here and now and return how it ended; raises Refused when it runs elsewhere or is not due."""
    return _work(_begin(state, name, arguments, due=due))


def begin(state: State, name: str, *, by: Actor | None = None, **arguments: Any) -> int:
    """Start a job aside and return the id of its run; raises Refused when it is running. `by` is who asked for it."""
    started = _begin(state, name, arguments)
    _write_down(state, by, "job.begin", name)
    _greenlets.add(gevent.spawn(_work, started))
    return started.id


def delete_logs(state: State, by: Actor, before: int) -> tuple[int, int]:
    """Start to delete the log rows before a time: about how many there are, and the id of the run; raises Refused."""
    expected = old_logs.count_before(state, before)
    run_id = begin(state, "log-retention", before=before, expected=expected)
    old_logs.record_deletion(state, by, before, expected)
    return expected, run_id


def stop_run(state: State, name: str, *, by: Actor | None = None) -> bool:
    """Ask a running job to stop, wherever it runs; False when it does not run."""
    for each in _running:
        each.stopping = each.stopping or each.name == name
    with state.databases.transaction() as session:
        ran = job.request_stop(session, name)
    if ran:
        _write_down(state, by, "job.stop", name)
    return ran


def _write_down(state: State, by: Actor | None, action: str, name: str) -> None:
    if by is not None:
        with act(state) as session:
            record(session, state, by, action, name)


def _begin(state: State, name: str, arguments: dict[str, Any], *, due: bool = False) -> Run:
    if name not in BY_NAME:
        raise Refused("job_unknown", name=name)
    now = int(state.clock())
    with state.databases.transaction() as session:
        job.ensure(session, name, next_run=NEVER)
    made = Run(state, name, 0, {"due": due} | arguments)
    with state.databases.transaction() as session:
        if not job.take(session, name, made.worker, now=now, seconds=LEASE_SECONDS, due=due):
            raise Refused("tests_running" if name == "channel-tests" else "job_running")
        job.bury(session, now=now, name=name)
        row = JobRun(name=name, worker=made.worker, state="running", started_at=now, alive_at=now, stop_requested=0)
        session.add(row)
        session.flush()
        made.id = row.id
    _running.add(made)
    return made


def _work(run: Run) -> str:
    """Do the work of a run and write down how it ended. Whatever goes wrong in a job stays in it."""
    outcome, error = "done", ""
    with _beating(run):
        try:
            BY_NAME[run.name].function(run)
        except Stopped:
            outcome = "stopped"
        except Exception as trouble:  # a failing job must not stop the others
            outcome, error = "failed", logs.scrub(f"{type(trouble).__name__}: {trouble}")[:500]
            log.exception("job %s failed", run.name)
    _running.discard(run)
    _end(run, outcome, error)
    if outcome == "failed":
        notify.job_failed(run.state, run.name, error)
    return outcome


@contextmanager
def _beating(run: Run) -> Iterator[None]:
    """Keep the lease alive while a single step takes long."""

    def beat() -> None:
        while True:
            gevent.sleep(BEAT_SECONDS)
            with suppress(*TROUBLE):  # the lease outlives a database that restarts
                run.beat()

    beating = gevent.spawn(beat)
    try:
        yield
    finally:
        beating.kill()


def _end(run: Run, outcome: str, error: str) -> None:
    """Write the end down and give the lease back; without a database, others take it as that of a dead process."""
    now, period = int(run.state.clock()), BY_NAME[run.name].period(run.state)
    silent = run.name in QUIET and outcome == "done" and not any(run.progress.values())
    try:
        with run.state.databases.transaction() as session:
            job.finish(session, run.id, outcome, now=now, progress=json.dumps(run.progress), error=error)
            if silent:
                job.forget(session, run.id)
            job.release(session, run.name, run.worker, next_run=now + period if period else NEVER)
    except TROUBLE as trouble:
        log.error("job %s: its end cannot be written down: %s", run.name, type(trouble).__name__)


_greenlets: set[gevent.Greenlet] = set()
_running: set[Run] = set()
_ending = Event()


def start(state: State) -> None:
    """Look after what is due, beside the requests of this process; slaves have no jobs."""
    _ending.clear()
    if state.config.node_type == "master":
        _greenlets.add(gevent.spawn(_loop, state))


def stop() -> None:
    """Let running jobs end at their next step, and their leases go to other processes."""
    _ending.set()
    for each in _running:
        each.stopping = True
    wait(PATIENCE)
    for each in list(_running):  # in the middle of a long step, which the end of the process cuts off
        _end(each, "stopped", "")
    gevent.killall(list(_greenlets))
    _greenlets.clear()
    _running.clear()
    notify.drain(3)


def wait(seconds: float = 60.0) -> bool:
    """Wait until what was begun here has ended, e.g. at the command line; False when it has not."""
    runs = [g for g in _greenlets if g.args[:1] and isinstance(g.args[0], Run)]
    return len(gevent.joinall(runs, timeout=seconds)) == len(runs)


def _loop(state: State) -> None:
    while not _ending.wait(TICK):
        try:
            tick(state)
        except TROUBLE as trouble:
            log.warning("jobs: cannot look at what is due: %s", type(trouble).__name__)
        except Exception:  # whatever it was, the next look may succeed
            log.exception("jobs: cannot look at what is due")


def tick(state: State) -> list[str]:
    """Start every job that is due and that no other process runs; returns their names."""
    now, started = int(state.clock()), []
    with state.databases.transaction() as session:
        known = job.leases(session)
    for entry in JOBS:
        period = entry.period(state)
        if not period:
            continue
        lease = known.get(entry.name)
        if lease is None or lease.next_run > now + period:
            _plan(state, entry.name, now + period, made=lease is not None)
        elif lease.next_run <= now and lease.until <= now:
            with suppress(Refused):  # another process was faster
                made = _begin(state, entry.name, {}, due=True)
                _greenlets.add(gevent.spawn(_work, made))
                started.append(entry.name)
    _greenlets.difference_update([g for g in _greenlets if g.dead])
    return started


def _plan(state: State, name: str, at: int, *, made: bool) -> None:
    """A job runs for the first time a period from now; a shorter period brings the next run forward."""
    with state.databases.transaction() as session:
        if made:
            job.plan(session, name, before=at)
        else:
            job.ensure(session, name, next_run=at)
