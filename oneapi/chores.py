"""The work that jobs do, step by step: each step says how far it is and stops when it should."""

import json
import logging
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import gevent

from oneapi import notify
from oneapi.actions import channels, logs, pricecheck, reminders
from oneapi.models import channel, code, job
from oneapi.models.channel import Channel, Status
from oneapi.relay import ledger
from oneapi.state import State
from oneapi.wire import VendorError

log = logging.getLogger(__name__)

LEASE_SECONDS = 60  # after this long without a word a run counts as dead
KEPT_SECONDS = 30 * 86400  # how long runs are remembered
FIRST_WAIT, LONGEST_WAIT = 300, 6 * 3600  # seconds between tests of a channel that was disabled automatically
_START = uuid4().hex[:8]


def worker() -> str:
    """This process, as leases name it; processes that were forked from one another differ by their number."""
    return f"{socket.gethostname()[:32]}:{os.getpid()}:{_START}"


class Stopped(Exception):  # noqa: N818  # no error: somebody asked for it
    """A run ends before its work is done."""


@dataclass(eq=False)
class Run:
    """One run of a job: how far it is, and whether it should stop."""

    state: State
    name: str
    id: int
    arguments: dict[str, Any]
    progress: dict[str, Any] = field(default_factory=dict)
    stopping: bool = False
    worker: str = field(default_factory=lambda: f"{worker()}:{uuid4().hex[:6]}")  # who holds the lease: this run, no other here

    def say(self, **progress: Any) -> None:
        """Tell how far the work is; raises Stopped when it should end."""
        self.progress |= progress
        self.beat()
        if self.stopping:
            raise Stopped

    def beat(self) -> None:
        now = int(self.state.clock())
        with self.state.databases.transaction() as session:
            goes_on = job.renew(
                session, self.id, self.name, self.worker, now=now, seconds=LEASE_SECONDS, progress=json.dumps(self.progress)
            )  # fmt: skip
        self.stopping = self.stopping or not goes_on

    def pause(self, seconds: float) -> None:
        """Sleep, but not longer than anybody wants this run to live."""
        while seconds > 0 and not self.stopping:
            gevent.sleep(min(seconds, 1.0))
            seconds -= 1.0
        if self.stopping:
            raise Stopped


def test_channels(run: Run) -> None:
    """Test channels one after another and draw the consequences; `scope` is all or disabled."""
    scope = (Status.DISABLED, Status.AUTO_DISABLED) if run.arguments.get("scope") == "disabled" else tuple(Status)
    failed = _test(run, scope)
    if run.arguments.get("asked"):
        notify.tests_done(run.state, run.progress["total"], failed)


def recover_channels(run: Run) -> None:
    """Test only what was disabled automatically, so that it comes back when it works again. By itself ever more seldom."""
    now = int(run.state.clock())
    _test(run, (Status.AUTO_DISABLED,), lambda row: not run.arguments.get("due") or worth_a_try(row, now))


def worth_a_try(row: Channel, now: int) -> bool:
    """Whether a disabled channel has rested as long since its last test as it had been down by then, within bounds."""
    down = row.status_time or 0
    tried = max(row.test_time or 0, down)
    return now - tried >= min(max(FIRST_WAIT, tried - down), LONGEST_WAIT)


def _test(run: Run, scope: tuple[int, ...], wanted: Callable[[Channel], bool] = lambda row: True) -> int:
    failed = 0
    for row in _each(run, scope, wanted):
        result = channels.test(run.state, row.id)
        failed += not result.ok
        if not channels.still_short(run.state, row):
            channels.judge(run.state, row, result)
        run.say(failed=failed)
    return failed


def _each(run: Run, scope: tuple[int, ...], wanted: Callable[[Channel], bool] = lambda row: True) -> Iterator[Channel]:
    """The channels of a scope, each read afresh, with the pause between two that POLLING_INTERVAL says."""
    with run.state.databases.transaction() as session:
        chosen = run.arguments.get("ids")
        rows = channel.with_status(session, *scope)
        ids = [row.id for row in rows if (chosen is None or row.id in chosen) and wanted(row)]
    run.say(done=0, total=len(ids), failed=0)
    for done, id in enumerate(ids, 1):
        with run.state.databases.transaction() as session:
            row = session.get(Channel, id)
        if row is not None and row.status in scope:
            run.say(current=row.name or f"#{id}", at=id)
            yield row
        run.say(done=done)
        if done < len(ids):
            run.pause(run.state.config.polling_interval)
    run.progress.pop("current", None)
    run.progress.pop("at", None)


def update_balances(run: Run) -> None:
    """Ask the vendors of enabled channels what is left, where they tell."""
    failed = 0
    for row in _each(run, (Status.ENABLED,)):
        try:
            channels.check_balance(run.state, row, channels.refresh_balance(run.state, row.id))
        except VendorError as error:
            log.info("channel=%d has no balance: %s", row.id, error.message)
            failed += 1
        run.say(failed=failed)


def delete_old_logs(run: Run) -> None:
    """Delete logs older than LogRetentionDays, or those `before` a time that an administrator gave, a thousand at a time."""
    days, deleted = run.state.settings.log_retention_days, 0
    before = run.arguments.get("before")
    if before:
        run.say(expected=run.arguments["expected"], deleted=0)
    while (before or days) and (gone := logs.delete_batch(run.state, before or int(run.state.clock()) - days * 86400)):
        deleted += gone
        run.say(deleted=deleted)
        run.pause(0.05)


def remind(run: Run) -> None:
    """Mail people whose balance has just fallen below the threshold, or to nothing."""
    run.say(mails=reminders.remind(run.state))


def compare_prices(run: Run) -> None:
    """Report where the built-in prices differ from the public collection; a person decides what becomes of it."""
    found = pricecheck.report(int(run.state.clock()))
    run.say(**found)
    if found["differing"]:
        log.warning("prices: %d of %d built-in figures differ; see the job's last run", found["differing"], found["compared"])


def sweep(run: Run) -> None:
    """Forget expired codes and old runs, and end runs whose process is gone."""
    now = int(run.state.clock())
    with run.state.databases.transaction() as session:
        codes = code.sweep(session, now=now)
        lost = job.bury(session, dead_before=now - LEASE_SECONDS, now=now)
        runs = job.forget_runs(session, before=now - KEPT_SECONDS)
    run.progress |= {"codes": codes, "lost": lost, "runs": runs}


def sweep_leases(run: Run) -> None:
    """Take back what dead workers had leased."""
    run.progress["leases"] = ledger.sweep(run.state)
