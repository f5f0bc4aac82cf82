"""Work that is done by itself: a table of jobs, each run by one process at a time, and what became of each run."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import gevent

from oneapi import chores, notify
from oneapi.chores import LEASE_SECONDS, Run, Stopped, worker
from oneapi.messages import Refused
from oneapi.models import job
from oneapi.models.job import JobRun
from oneapi.state import State

log = logging.getLogger(__name__)

TICK = 2.0  # seconds between two looks at what is due
BEAT_SECONDS = 10.0


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
        "recovery", lambda s: 600 if s.settings.automatic_enable_channel_enabled else 0, chores.recover_channels,
        "Test channels that were disabled automatically",
    ),
    Job("log-retention", lambda s: 3600 if s.settings.log_retention_days else 0, chores.delete_old_logs, "Delete old logs"),
    Job("reminders", lambda s: 60 if s.settings.smtp_server else 0, chores.remind, "Mail people whose quota runs low"),
    Job("sweep", lambda s: 600, chores.sweep, "Forget expired codes and old runs"),
    Job("lease-sweep", lambda s: 30, chores.sweep_leases, "Take back what dead workers had leased"),
)  # fmt: skip
BY_NAME = {entry.name: entry for entry in JOBS}
QUIET = {"sweep", "lease-sweep", "reminders"}  # runs that found nothing to do leave no trace


# Running it


def run(state: State, name: str, *, due: bool = False, **arguments: Any) -> str:
    """Run a job here and now and return how it ended; raises Refused when it runs elsewhere or is not due."""
    return _work(_begin(state, name, arguments, due=due))


def begin(state: State, name: str, **arguments: Any) -> int:
    """Start a job aside and return the id of its run; raises Refused when it is running."""
    started = _begin(state, name, arguments)
    _greenlets.add(gevent.spawn(_work, started))
    return started.id


def stop_run(state: State, name: str) -> bool:
    """Ask a running job to stop, wherever it runs; False when it does not run."""
    for each in _running:
        each.stopping = each.stopping or each.name == name
    with state.databases.transaction() as session:
        return job.request_stop(session, name)


def _begin(state: State, name: str, arguments: dict[str, Any], *, due: bool = False) -> Run:
    if name not in BY_NAME:
        raise Refused("job_unknown", name=name)
    now = int(state.clock())
    with state.databases.transaction() as session:
        job.ensure(session, name, next_run=now)
    with state.databases.transaction() as session:
        if not job.take(session, name, worker(), now=now, seconds=LEASE_SECONDS, due=due):
            raise Refused("tests_running" if name == "channel-tests" else "job_running")
        row = JobRun(name=name, worker=worker(), state="running", started_at=now, alive_at=now, stop_requested=0)
        session.add(row)
        session.flush()
        made = Run(state, name, row.id, arguments)
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
            outcome, error = "failed", f"{type(trouble).__name__}: {trouble}"[:500]
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
            with suppress(OSError):
                run.beat()

    beating = gevent.spawn(beat)
    try:
        yield
    finally:
        beating.kill()


def _end(run: Run, outcome: str, error: str) -> None:
    now, period = int(run.state.clock()), BY_NAME[run.name].period(run.state)
    silent = run.name in QUIET and outcome == "done" and not any(run.progress.values())
    with run.state.databases.transaction() as session:
        job.finish(session, run.id, outcome, now=now, progress=json.dumps(run.progress), error=error)
        if silent:
            job.forget(session, run.id)
        job.release(session, run.name, worker(), next_run=now + period)


_greenlets: set[gevent.Greenlet] = set()
_running: set[Run] = set()


def start(state: State) -> None:
    """Look after what is due, beside the requests of this process; slaves have no jobs."""
    if state.config.node_type == "master":
        _greenlets.add(gevent.spawn(_loop, state))


def stop() -> None:
    """Let running jobs end at their next step, and their leases go to other processes."""
    for each in _running:
        each.stopping = True
    wait(10)
    gevent.killall(list(_greenlets))
    _greenlets.clear()
    notify.drain(10)


def wait(seconds: float = 60.0) -> bool:
    """Wait until what was begun here has ended, e.g. at the command line; False when it has not."""
    runs = [g for g in _greenlets if g.args[:1] and isinstance(g.args[0], Run)]
    return len(gevent.joinall(runs, timeout=seconds)) == len(runs)


def _loop(state: State) -> None:
    while True:
        try:
            tick(state)
        except Exception:  # e.g. the database is away: look again later
            log.exception("jobs: cannot look at what is due")
        gevent.sleep(TICK)


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
