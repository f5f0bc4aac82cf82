"""Measures what 10,000 channels cost a process: python -m benchmarks.state [--channels 10000].

Printed are the time to make all channels ready at the start and the memory they take, then for a change of one channel: the
CPU time of the refresh, and the longest time for which everybody else in the process had to wait meanwhile.
"""

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402  (patch first, import later)
import gc  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from statistics import median  # noqa: E402

import gevent  # noqa: E402

from benchmarks import installation  # noqa: E402
from benchmarks.installation import Size  # noqa: E402
from oneapi import config, migrate, snapshot  # noqa: E402
from oneapi.db import Databases  # noqa: E402
from oneapi.models import version  # noqa: E402
from oneapi.models.channel import Channel  # noqa: E402
from oneapi.state import State  # noqa: E402

TICK = 0.001


def resident() -> float:
    """Memory of this process in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def longest_wait(ending: list[float]) -> float:
    """Wakes every TICK until `ending` has something in it; by how many seconds it woke too late at worst."""
    worst = 0.0
    while not ending:
        before = time.perf_counter()
        gevent.sleep(TICK)
        worst = max(worst, time.perf_counter() - before - TICK)
    return worst


def change(state: State, id: int) -> tuple[float, float]:
    """(seconds of CPU, longest wait in seconds) of one channel's new weight."""
    with state.databases.transaction() as session:
        row = session.get(Channel, id)
        assert row is not None
        row.weight = (row.weight or 0) + 1
        version.bump(session, "channels")
    ending: list[float] = []
    waiting = gevent.spawn(longest_wait, ending)
    gevent.sleep(0)
    started = time.process_time()
    state.refresh()
    spent = time.process_time() - started
    ending.append(1)
    return spent, float(waiting.get())


def measure(kind: str, count: int, rounds: int) -> None:
    with installation.place(kind) as environment:
        settings = config.load(environment)
        databases = Databases(settings, installation.bare_app(environment))
        migrate.upgrade(databases, settings, now=int(time.time()))
        connection = databases.engine.raw_connection()
        installation.insert(kind, connection, "channels", installation.channels(Size(channels=count), int(time.time())))
        connection.close()
        gc.collect()
        before, started = resident(), time.perf_counter()
        state = State(settings, databases)
        state.refresh(force=True)
        ready, taken = time.perf_counter() - started, resident() - before
        places = len(state.snapshot.candidates)
        print(f"\n{kind}: {count:,} channels in {places} groups and models, {snapshot.PIECE} at a time")
        print(f"  ready after {ready:.2f} s, {taken:.0f} MB")
        found = [change(state, 1 + n * 37 % count) for n in range(rounds)]
        spent, waited = median(s for s, _ in found), [w for _, w in found]
        print(f"  one change: {spent * 1000:.0f} ms of CPU; others wait at most {median(waited) * 1000:.1f} ms", end="")
        print(f", in the worst round {max(waited) * 1000:.1f} ms")
        databases.dispose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--channels", type=int, default=Size.channels)
    parser.add_argument("--rounds", type=int, default=10)
    flags = parser.parse_args()
    measure(flags.database, flags.channels, flags.rounds)
