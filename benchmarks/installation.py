"""A large installation in a temporary place: channels, people, keys, log rows with their ledger and roll-ups, and the app on it.

What is drawn is drawn from one seed, so that two runs measure the same rows: a few people, models and channels make most
requests, the many make a few each, over ninety days. The last day is as busy as any other.
"""

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import bcrypt
from flask import Flask
from sqlalchemy import Engine, create_engine

from oneapi import config, migrate
from oneapi.db import Databases

REPOSITORY = Path(__file__).parent.parent
POSTGRESQL = os.environ.get("BENCHMARK_POSTGRESQL", "postgres://postgres@127.0.0.1:5432")
PASSWORD, ROOT_ACCESS = "benchmark-1", "0123456789abcdef0123456789abcdef"
DAYS, HOUR = 90, 3600
MODELS = [f"gpt-4o-{n:02}" for n in range(20)] + [f"claude-{n:02}" for n in range(20)] + [f"deepseek-{n:02}" for n in range(20)]
GROUPS = ("default", "vip", "svip", "team-a", "team-b")
VENDORS = (1, 14, 24, 36, 40, 15, 17, 42, 31, 3)
TABLES = ("users", "tokens", "channels", "redemptions", "audits", "ledger", "logs", "usage_hours")


@dataclass(frozen=True)
class Size:
    channels: int = 10_000
    users: int = 100_000
    logs: int = 1_000_000


def someone(chance: random.Random, most: int) -> int:
    """A number from 1 to `most`; the small ones come up far more often."""
    return 1 + int(most * chance.random() ** 5)


def channels(size: Size, now: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(1)
    for id in range(1, size.channels + 1):
        of_type = chance.sample(MODELS, 20)
        yield {
            "id": id, "type": VENDORS[id % len(VENDORS)], "key": f"sk-{id:040}", "status": 1 if id % 20 else 1 + id // 20 % 3,
            "name": f"Account {id:05} of {chance.choice(GROUPS)}", "weight": id % 5, "created_time": now - id,
            "test_time": now - id, "response_time": 300 + id % 4000, "base_url": f"http://127.0.0.1:9/{id % 50}",
            "balance": float(id % 100), "models": ",".join(of_type), "group": ",".join(chance.sample(GROUPS, 2)),
            "used_quota": id * 1000, "model_mapping": "", "priority": id % 4, "config": "{}", "tag": f"tag-{id % 40}",
            "tests": "1" * 19 + str(int(id % 9 > 0)),
        }  # fmt: skip


def users(size: Size, now: int) -> Iterator[dict[str, Any]]:
    """From 2: root is there already."""
    for id in range(2, size.users + 2):
        yield {
            "id": id, "username": f"person{id:06}", "password": "x" * 60, "display_name": f"Person {id}",
            "role": 10 if id % 5000 == 0 else 1, "status": 2 if id % 97 == 0 else 1, "email": f"person{id}@example.com",
            "quota": id * 7919 % 5_000_000, "used_quota": id * 31, "request_count": id % 1000, "group": GROUPS[id % 37 % 5],
            "aff_code": f"{id:x}".rjust(6, "0"), "created_time": now - (size.users - id) * 60, "session_epoch": 0,
        }  # fmt: skip


def tokens(size: Size, now: int) -> Iterator[dict[str, Any]]:
    """One key each, from id 2; root has five hundred more."""
    for id in range(2, size.users + 502):
        owner = id if id <= size.users + 1 else 1
        yield {
            "id": id, "user_id": owner, "key": sha256(str(id).encode()).hexdigest()[:48], "status": 1, "name": f"key {id}",
            "created_time": now - id, "accessed_time": now - id % 90 * 86400, "expired_time": -1, "remain_quota": 10**9,
            "unlimited_quota": bool(id % 2), "used_quota": id, "models": "", "subnet": "",
        }  # fmt: skip


def codes(size: Size, now: int) -> Iterator[dict[str, Any]]:
    for id in range(1, size.users // 5 + 1):
        yield {
            "id": id, "user_id": 1, "key": sha256(f"code{id}".encode()).hexdigest()[:32], "status": 1 + id % 3,
            "name": f"batch {id // 100}", "quota": 500_000, "created_time": now - id,
            "redeemed_by": id + 1 if id % 3 == 2 else None, "redeemed_time": now if id % 3 == 2 else None,
        }  # fmt: skip


def audits(size: Size, now: int) -> Iterator[dict[str, Any]]:
    nouns = ("channel", "user", "option", "token", "redemption")
    for id in range(1, size.users + 1):
        noun = nouns[id % len(nouns)]
        yield {
            "id": id, "created_at": now - size.users + id, "actor_id": 1, "actor_name": "root", "action": f"{noun}.update",
            "noun": noun, "noun_id": str(id), "difference": '{"name": ["old", "new"]}', "ip": "127.0.0.1",
        }  # fmt: skip


def explained(model: str, prompt: int, completion: int, quota: int, id: int) -> str:
    return json.dumps({
        "asked": model, "served": model, "end": "complete", "reserved": 5000, "first_ms": 180,
        "usage": {"prompt": prompt, "completion": completion}, "price": {"ratio": 1.25, "completion": 4, "group": 1},
        "lines": [["prompt", prompt, 1.25, quota // 3], ["completion", completion, 5, quota - quota // 3]],
        "attempts": [{"channel": id, "status": 200, "ms": 900}],
    })  # fmt: skip


class Requests:
    """The log rows, and as by-products what the ledger and the roll-ups hold of them."""

    def __init__(self, size: Size, now: int):
        self.size, self.now = size, now
        self.hours: dict[tuple[int, int, int, int, str], list[int]] = {}
        self.entries: list[tuple[str, int, int, int, int, int]] = []

    def rows(self) -> Iterator[dict[str, Any]]:
        chance, size = random.Random(2), self.size
        start, length = self.now - DAYS * 86400, DAYS * 86400
        for id in range(1, size.logs + 1):
            at = start + length * id // size.logs
            user, model = someone(chance, size.users), MODELS[someone(chance, len(MODELS)) - 1]
            lane, kind = someone(chance, size.channels), 2 if id % 50 else 1 + id // 50 % 6
            prompt, completion, ms = chance.randrange(20, 4000), chance.randrange(5, 900), int(chance.lognormvariate(7, 0.8))
            quota = prompt + 4 * completion
            if kind == 2:
                self.count(id, at, user, lane, model, (1, quota, prompt, completion, ms))
            yield {
                "id": id, "user_id": user, "created_at": at, "type": kind, "content": "倍率：1.25 × 1.00 × 4.00",
                "username": f"person{user:06}" if user > 1 else "root", "token_name": f"key {user}", "model_name": model,
                "quota": quota, "prompt_tokens": prompt, "completion_tokens": completion, "channel_id": lane,
                "request_id": f"req-{id:016x}", "elapsed_time": ms, "is_stream": id % 3 == 0, "system_prompt_reset": False,
                "detail": explained(model, prompt, completion, quota, lane) if kind == 2 else None,
            }  # fmt: skip

    def count(self, id: int, at: int, user: int, lane: int, model: str, numbers: tuple[int, ...]) -> None:
        total = self.hours.setdefault((at - at % HOUR, user, user, lane, model), [0] * 5)
        for i, number in enumerate(numbers):
            total[i] += number
        self.entries.append((f"req-{id:016x}", at, user, user, lane, numbers[1]))

    def ledger(self) -> Iterator[dict[str, Any]]:
        """An opening for everybody that explains what is there and what was spent, then the requests."""
        spent: dict[int, int] = {}
        for _request, _at, user, _token, _lane, quota in self.entries:
            spent[user] = spent.get(user, 0) + quota
        columns = {"token_id": 0, "channel_id": 0, "written_off": 0, "actor_id": 0, "note": ""}
        for row in users(self.size, self.now):
            amount = row["quota"] + spent.get(row["id"], 0)
            opening = {"request_id": f"opening:{row['id']}", "created_at": 0, "kind": "opening", "user_id": row["id"]}
            yield columns | opening | {"amount": amount}
        for request, at, user, token, lane, quota in self.entries:
            of = {"request_id": request, "created_at": at, "kind": "consume", "user_id": user, "amount": -quota}
            yield columns | of | {"token_id": token, "channel_id": lane}

    def rolled_up(self) -> Iterator[dict[str, Any]]:
        names = ("hour", "user_id", "token_id", "channel_id", "model_name",
                 "requests", "quota", "prompt_tokens", "completion_tokens", "elapsed_time")  # fmt: skip
        for key, total in sorted(self.hours.items()):
            yield dict(zip(names, (*key, *total), strict=True))


def fill(engine: Engine, size: Size, now: int) -> None:
    """Everything but root, who only gets a password."""
    asked = Requests(size, now)
    made = {
        "users": users(size, now), "tokens": tokens(size, now), "channels": channels(size, now), "redemptions": codes(size, now),
        "audits": audits(size, now), "logs": asked.rows(), "ledger": asked.ledger(), "usage_hours": asked.rolled_up(),
    }  # fmt: skip
    connection: Any = engine.raw_connection()
    for name, rows in made.items():  # in this order: the requests are counted while their rows are written
        started = time.monotonic()
        count = insert(engine.dialect.name, connection, name, rows)
        print(f"  {count:9,} {name:12} {time.monotonic() - started:5.1f} s", file=sys.stderr)
    cursor, mark = connection.cursor(), "?" if engine.dialect.name == "sqlite" else "%s"
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    unready = "0" if engine.dialect.name == "sqlite" else "false"
    cursor.execute(f"UPDATE users SET password = {mark}, must_change_password = {unready} WHERE id = 1", (hashed,))
    connection.commit()
    if engine.dialect.name == "postgresql":
        for name in TABLES:
            if name != "usage_hours":
                cursor.execute(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name}))")
        connection.commit()
        connection.driver_connection.autocommit = True
        cursor.execute("VACUUM ANALYZE")  # as its own service would have done in ninety days
    connection.close()


def insert(kind: str, connection: Any, table: str, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows by the fastest way that the driver has; how many."""
    source = iter(rows)
    first = next(source)
    names = ", ".join(f"`{name}`" if kind == "sqlite" else f'"{name}"' for name in first)
    cursor, count = connection.cursor(), 1
    if kind == "sqlite":
        marks = ", ".join("?" for _ in first)
        every = (tuple(row.values()) for row in itertools.chain((first,), source))
        connection.driver_connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", every)
        connection.commit()
        return int(cursor.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        copy.write_row(tuple(first.values()))
        for row in source:
            count += 1
            copy.write_row(tuple(row[name] for name in first))
    connection.commit()
    return count


@contextmanager
def place(kind: str) -> Iterator[dict[str, str]]:
    """The environment of an installation whose database is new and is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "INSTANCE_PATH": folder, "LOG_DIR": "", "HOST": "127.0.0.1", "GLOBAL_WEB_RATE_LIMIT": "0", "CRITICAL_RATE_LIMIT": "0",
            "GLOBAL_API_RATE_LIMIT": "0", "SESSION_SECRET": "benchmark", "INITIAL_ROOT_ACCESS_TOKEN": ROOT_ACCESS,
        }  # fmt: skip
        if kind == "sqlite":
            yield environment
            return
        name = f"oneapi_benchmark_{os.getpid()}"
        server = create_engine(POSTGRESQL.replace("postgres://", "postgresql+psycopg://", 1) + "/postgres")
        run = server.execution_options(isolation_level="AUTOCOMMIT")
        with run.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        try:
            yield environment | {"SQL_DSN": f"{POSTGRESQL}/{name}"}
        finally:
            with run.connect() as connection:
                connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
            server.dispose()


def bare_app(environment: dict[str, str]) -> Flask:
    """What Databases hang on, with nothing else in it."""
    return Flask("benchmark", instance_path=environment["INSTANCE_PATH"])


@contextmanager
def large(kind: str, size: Size) -> Iterator[dict[str, str]]:
    """The environment of a filled installation."""
    with place(kind) as environment:
        settings = config.load(environment)
        databases = Databases(settings, bare_app(environment))
        migrate.upgrade(databases, settings, now=int(time.time()))
        fill(databases.engine, size, int(time.time()))
        databases.dispose()
        yield environment


@dataclass
class Served:
    """A running app: where, its process, and how long it took until it answered."""

    url: str
    port: int
    process: subprocess.Popen[bytes]
    start_seconds: float


@contextmanager
def served(environment: dict[str, str]) -> Iterator[Served]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "app.py"], cwd=REPOSITORY, env=kept | environment | {"PORT": str(port)})
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                urllib.request.urlopen(f"{url}/healthz", timeout=60).read()
                break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError("the app ended before it answered") from None
                time.sleep(0.05)
        yield Served(url, port, process, time.monotonic() - started)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
