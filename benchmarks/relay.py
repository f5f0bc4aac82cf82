"""Measures the real gateway against nginx in the same run: python -m benchmarks.relay.

Each server is pinned to core 0 and has a worker; the mock vendor and the load share core 1. Figures are CPU time of the
server's process tree (which survives a noisy machine), requests per second of one core (its inverse), latencies, and for
streams CPU per chunk, delay of tokens and memory. Rounds alternate between the servers; medians are printed with ratios.
Billing, logging and a limit on the key are on; SQLite, synchronous writes. Needs nginx.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

REPOSITORY = Path(__file__).parent.parent
KEY, MODEL = "benchmarkkey", "gpt-4o-mini"
TICK = os.sysconf("SC_CLK_TCK")
NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream vendor {{ server 127.0.0.1:{vendor}; keepalive 4096; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://vendor; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }}
}}
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def pinned(core: int, *command: str, **options: Any) -> subprocess.Popen[Any]:
    return subprocess.Popen(["taskset", "-c", str(core), *command], cwd=REPOSITORY, start_new_session=True, **options)


@contextmanager
def running(process: subprocess.Popen[Any], port: int) -> Iterator[subprocess.Popen[Any]]:
    """The process once it answers on its port; ended with all its children afterwards."""
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def gateway(folder: str, port: int, vendor: int) -> subprocess.Popen[Any]:
    """One API on a fresh database with one channel, and a limit on the key that is never reached."""
    quiet = {"INSTANCE_PATH": folder, "LOG_DIR": "", "PORT": str(port), "HOST": "127.0.0.1", "INITIAL_ROOT_TOKEN": KEY}
    options = {"env": os.environ | quiet, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with running(pinned(0, sys.executable, "app.py", **options), port):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz").read()
    with sqlite3.connect(f"{folder}/one-api.db") as database:
        database.execute(
            "INSERT INTO channels (type, key, status, name, base_url, models, `group`, used_quota, priority, weight)"
            " VALUES (1, 'sk-mock', 1, 'mock', ?, ?, 'default', 0, 0, 0)",
            (f"http://127.0.0.1:{vendor}", MODEL),
        )
        database.execute("UPDATE tokens SET requests_per_minute = 1000000000")
    return pinned(0, sys.executable, "app.py", **options)


def tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in tree(int(child)))]


def cpu(pid: int) -> float:
    """CPU seconds of a process and its children so far."""
    total = 0
    for one in tree(pid):
        total += sum(map(int, Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return total / TICK


def memory(pid: int) -> float:
    """Proportional memory in MB."""
    lines = [line for one in tree(pid) for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def load(pid: int, port: int, **flags: Any) -> dict[str, Any]:
    """One round of load on a server: what the clients saw, the server's CPU seconds and memory meanwhile."""
    arguments = [f"--{name}" if value is True else f"--{name}={value}" for name, value in flags.items()]
    command = [sys.executable, "-m", "benchmarks.load", f"--port={port}", f"--key={KEY}", f"--model={MODEL}", *arguments]
    process = pinned(1, *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    process.stdout.readline()
    before = cpu(pid)
    process.stdout.readline()
    spent, held = cpu(pid) - before, memory(pid)
    process.stdin.write("\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline()) | {"cpu": spent, "memory": held}


def middle(rounds: list[dict[str, Any]], figure: str) -> float:
    return median(r[figure] for r in rounds)


def per_unit(rounds: list[dict[str, Any]], unit: str) -> float:
    """CPU microseconds for each `unit`."""
    return median(r["cpu"] / max(1, r[unit]) * 1e6 for r in rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--streams", type=int, default=500)
    flags = parser.parse_args()
    if shutil.which("nginx") is None:
        sys.exit("nginx is not installed: install your system's package nginx-light.")
    vendor_port, ports = free_port(), {"nginx": free_port(), "one-api": free_port()}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "nginx.conf").write_text(NGINX.format(folder=folder, vendor=vendor_port, port=ports["nginx"]))
        vendor = pinned(1, sys.executable, "-m", "benchmarks.vendor", f"--port={vendor_port}", "--rate=20", "--tokens=400")
        with running(vendor, vendor_port), running(gateway(folder, ports["one-api"], vendor_port), ports["one-api"]) as one:
            with running(pinned(0, "nginx", "-c", f"{folder}/nginx.conf"), ports["nginx"]) as nginx:
                compare({"nginx": (nginx.pid, ports["nginx"]), "one-api": (one.pid, ports["one-api"])}, flags)


def compare(servers: dict[str, tuple[int, int]], flags: argparse.Namespace) -> None:
    idle = {name: memory(pid) for name, (pid, _) in servers.items()}
    for pid, port in servers.values():
        load(pid, port, clients=64, seconds=1)  # what a first request makes once is not the streams'
    warm = {name: memory(pid) for name, (pid, _) in servers.items()}
    cases = {  # streams first: their memory is compared with that of a server that has had little to do
        f"{flags.streams} streams": {"clients": flags.streams, "seconds": flags.seconds * 2, "stream": True, "warm": 3},
        "64 clients": {"clients": 64, "seconds": flags.seconds}, "1 client": {"clients": 1, "seconds": flags.seconds},
        "400 KB prompt": {"clients": 8, "seconds": flags.seconds, "prompt": 400_000},
    }  # fmt: skip
    for title, case in cases.items():
        rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in servers}
        for _ in range(flags.rounds):
            for name, (pid, port) in servers.items():
                rounds[name].append(load(pid, port, **case))
        unit = "pieces" if "stream" in case else "done"
        print(f"\n{title}")
        for name, found in rounds.items():
            cost = per_unit(found, unit)
            what = "chunk" if unit == "pieces" else "request"
            p50, p99 = middle(found, "p50") * 1e3, middle(found, "p99") * 1e3
            line = f"  {name:8} {cost:8.1f} us CPU a {what}  {1e6 / cost:9,.0f} a second and core"
            line += f"  p50 {p50:8.3f} ms  p99 {p99:8.3f} ms  errors {middle(found, 'errors'):.0f}"
            if unit == "pieces":
                # of the first round: at its end clients leave, and counting what they got loads a vocabulary
                grown = (found[0]["memory"] - warm[name]) / case["clients"] * 1000
                line += f"  in time {middle(found, 'in_time'):.1%}  {grown:.1f} MB per 1,000 streams"
            print(line)
        print(f"  ratio    {per_unit(rounds['nginx'], unit) / per_unit(rounds['one-api'], unit):.2f} of nginx")
    print(f"\nidle memory: nginx {idle['nginx']:.0f} MB, one-api {idle['one-api']:.0f} MB")


if __name__ == "__main__":
    main()
