"""Measures every page and list fragment of a large installation: python -m benchmarks.pages [--database sqlite].

Fills a temporary database with 10,000 channels, 100,000 users with their keys, and 1,000,000 log rows with ledger and
roll-ups, starts the real app on it, and asks for each page as root, one request after another on one connection. Printed are
the first time, the median and the 95th percentile until the last byte came, CPU time of the app and of its PostgreSQL, the
weight of the answer (gzip), and the ratios of CPU time and of the 95th percentile to the budget: 150 ms for the logs, 50 ms
for all else. On a machine that does other things too, CPU time is the figure that means something.
"""

import argparse
import gzip
import http.client
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

import psycopg

from benchmarks import installation
from benchmarks.installation import MODELS, PASSWORD, Size
from benchmarks.relay import cpu, memory

TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
BUDGET, OF_LOGS = 50.0, 150.0  # milliseconds

# (title, address, the element that htmx would fill; "" for the whole page)
CASES = [
    ("channels, page", "/channel", ""),
    ("channels, list", "/channel", "list"),
    ("channels, page 300", "/channel?page=300", "list"),
    ("channels, last page", "/channel?page=400", "list"),
    ("channels, search", "/channel?q=00123", "list"),
    ("channels, search nothing", "/channel?q=nothing-like-it", "list"),
    ("channels, a model", "/channel?model=gpt-4o-07", "list"),
    ("channels, group and status", "/channel?group=vip&status=3", "list"),
    ("channels, by use", "/channel?sort=-used", "list"),
    ("channels, by name", "/channel?sort=name&size=100", "list"),
    ("channels, form", "/channel/edit/5000", "drawer"),
    ("users, page", "/user", ""),
    ("users, list", "/user", "list"),
    ("users, page 2000", "/user?page=2000", "list"),
    ("users, last page", "/user?page=4001", "list"),
    ("users, search", "/user?q=person0123", "list"),
    ("users, search nothing", "/user?q=nothing-like-it", "list"),
    ("users, a group", "/user?group=vip", "list"),
    ("users, a group, page 500", "/user?group=vip&page=500", "list"),
    ("users, by balance", "/user?sort=-balance", "list"),
    ("users, by balance, page 2000", "/user?sort=-balance&page=2000", "list"),
    ("users, by name", "/user?sort=name", "list"),
    ("users, form", "/user/edit/50000", "drawer"),
    ("keys, page", "/token", ""),
    ("keys, list", "/token", "list"),
    ("keys, page 20", "/token?page=20", "list"),
    ("keys, search", "/token?q=key+1002", "list"),
    ("keys, by last use", "/token?sort=-last", "list"),
    ("logs, page", "/log", ""),
    ("logs, list", "/log", "list"),
    ("logs, an hour", "/log?range=1h", "list"),
    ("logs, 7 days", "/log?range=7d", "list"),
    ("logs, 90 days", "/log?range=90d", "list"),
    ("logs, all time", "/log?range=all", "list"),
    ("logs, older", "/log?range=90d&before=500000", "older"),
    ("logs, a model", f"/log?range=90d&model={MODELS[0]}", "list"),
    ("logs, a rare model", f"/log?range=90d&model={MODELS[-1]}", "list"),
    ("logs, a user", "/log?range=90d&user=person000002", "list"),
    ("logs, a quiet user", "/log?range=90d&user_id=90000", "list"),
    ("logs, a channel", "/log?range=90d&channel=9999", "list"),
    ("logs, user and model", f"/log?range=90d&user_id=1&model={MODELS[-1]}", "list"),
    ("logs, of a kind", "/log?range=90d&type=1", "list"),
    ("logs, errors", "/log?range=90d&type=6", "list"),
    ("logs, dear ones", "/log?range=90d&min_quota=7500", "list"),
    ("logs, dearer than any", "/log?range=all&min_quota=1000000", "list"),
    ("logs, slow ones", "/log?range=90d&min_ms=30000", "list"),
    ("logs, a request", f"/log?range=all&q=req-{123456:016x}", "list"),
    ("logs, nothing", "/log?range=all&q=nothing-like-it", "list"),
    ("logs, an entry", "/log?id=777777", "detail"),
    ("logs, new ones", "/log/live?after=999990", "fresh"),
    ("overview", "/dashboard", ""),
    ("overview, 90 days", "/dashboard?range=90d", "usage"),
    ("overview, everyone", "/dashboard?scope=all", "usage"),
    ("overview, everyone, 24 hours", "/dashboard?scope=all&range=24h", "usage"),
    ("overview, everyone, 90 days", "/dashboard?scope=all&range=90d", "usage"),
    ("wallet", "/topup", ""),
    ("codes, page", "/redemption", ""),
    ("codes, list", "/redemption", "list"),
    ("codes, last page", "/redemption?page=800", "list"),
    ("codes, search", "/redemption?q=batch+17", "list"),
    ("audit, page", "/audit", ""),
    ("audit, search", "/audit?q=nothing-like-it", "list"),
    ("audit, a noun", "/audit?noun=option", "list"),
    ("models", "/pricing", ""),
    ("models, list", "/pricing?q=claude", "list"),
    ("prices", "/price", "list"),
    ("groups", "/group", "list"),
    ("settings", "/setting/general", ""),
    ("settings, search", "/setting?q=quota", ""),
    ("system", "/system", ""),
    ("jobs", "/job", ""),
    ("palette, search", "/palette?q=person0777", "found"),
    ("playground", "/playground", ""),
    ("profile", "/user/edit", ""),
]


class Reader:
    """Root at a browser that keeps its connection."""

    def __init__(self, port: int):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.cookie = ""
        form = {"csrf_token": TOKEN.findall(self.get("/login").decode())[0], "username": "root", "password": PASSWORD}
        status, _body = self._ask("POST", "/login", urlencode(form))
        if status != 303:
            raise RuntimeError(f"root cannot sign in: {status}")

    def get(self, path: str, target: str = "") -> bytes:
        headers = {"HX-Request": "true", "HX-Target": target} if target else {}
        status, body = self._ask("GET", path, **headers)
        if status != 200:
            raise RuntimeError(f"{path} answers {status}")
        return body

    def _ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, bytes]:
        headers = {"Cookie": self.cookie, "Content-Type": "application/x-www-form-urlencoded"} | headers
        self.connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = self.connection.getresponse()
        if cookie := answer.getheader("Set-Cookie"):
            self.cookie = cookie.partition(";")[0]
        return answer.status, answer.read()


@dataclass
class Case:
    """What one address took: milliseconds, the later ones rising, and bytes compressed."""

    first: float
    times: list[float]
    cpu: float
    weight: int

    def line(self, title: str) -> str:
        high = self.times[min(len(self.times) - 1, int(len(self.times) * 0.95))]
        budget = OF_LOGS if title.startswith("logs") else BUDGET
        figures = "".join(f"{figure:8.1f}" for figure in (self.first, median(self.times), high, self.cpu, self.weight / 1000))
        return f"{title:32}{figures}{self.cpu / budget:8.2f}{high / budget:8.2f}{'  OVER' if self.cpu > budget else ''}"


def measured(reader: Reader, pids: list[int], path: str, target: str, rounds: int) -> Case:
    times: list[float] = []
    spent = 0.0
    for number in range(rounds + 1):
        if number == 1:  # the first one fills memories and is told by itself
            spent = sum(map(cpu, pids))
        started = time.perf_counter()
        body = reader.get(path, target)
        times.append((time.perf_counter() - started) * 1000)
    spent = (sum(map(cpu, pids)) - spent) / rounds * 1000
    return Case(times[0], sorted(times[1:]), spent, len(gzip.compress(body)))


def backends(environment: dict[str, str]) -> list[int]:
    """The processes that PostgreSQL has for this app, when it runs on this machine."""
    if not (dsn := environment.get("SQL_DSN")):
        return []
    with psycopg.connect(dsn.replace("postgres://", "postgresql://", 1)) as connection:
        asked = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        found = [int(pid) for (pid,) in connection.execute(asked)]
    return [pid for pid in found if Path(f"/proc/{pid}").exists()]


def report(kind: str, size: Size, rounds: int, only: str) -> Iterator[str]:
    with installation.large(kind, size) as environment, installation.served(environment) as served:
        yield f"\n{kind}: {size.channels:,} channels, {size.users:,} users, {size.logs:,} log rows"
        yield f"start until it answers {served.start_seconds:.2f} s, memory {memory(served.process.pid):.0f} MB"
        heads = ("first", "median", "p95", "CPU", "gzip", "CPU", "p95")
        yield f"{'milliseconds; KB; of budget':32}" + "".join(f"{head:>8}" for head in heads)
        reader = Reader(served.port)
        pids = [served.process.pid, *backends(environment)]
        for title, path, target in CASES:
            if only in title:
                yield measured(reader, pids, path, target, rounds).line(title)
        yield f"memory afterwards {memory(served.process.pid):.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--logs", type=int, default=Size.logs)
    parser.add_argument("--users", type=int, default=Size.users)
    parser.add_argument("--channels", type=int, default=Size.channels)
    parser.add_argument("--only", default="", help="measure only what has this in its title")
    flags = parser.parse_args()
    size = Size(flags.channels, flags.users, flags.logs)
    for kind in ("sqlite", "postgresql") if flags.database == "both" else (flags.database,):
        for line in report(kind, size, flags.rounds, flags.only):
            print(line, flush=True)


if __name__ == "__main__":
    main()
