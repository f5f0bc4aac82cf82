"""The start of the image takes the flags that the image of the old project took."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENTRY = ["sh", "deploy/entrypoint.sh"]


def environment(folder: Path, **more: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {"PATH": path, "INSTANCE_PATH": str(folder), "PORT_FILE": str(folder / "port"), "ONEAPI_WORKERS": "1"} | more


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("form", ["--port {port} --log-dir {logs}", "-port={port} --log-dir={logs}"])
def test_the_port_and_the_folder_of_logs_are_flags(tmp_path: Path, form: str) -> None:
    port, logs = free_port(), tmp_path / "logs"
    words = form.format(port=port, logs=logs).split()
    process = subprocess.Popen([*ENTRY, *words], cwd=ROOT, env=environment(tmp_path), stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                    assert answer.status == 200
                    break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail(f"it does not serve: {process.stderr.read() if process.stderr and process.poll() is not None else ''}")
        assert list(logs.glob("oneapi-*.log"))
        assert (tmp_path / "port").read_text() == f"{port}\n"
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_other_commands_run_as_they_are(tmp_path: Path) -> None:
    run = lambda *words: subprocess.run([*ENTRY, *words], cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True)  # noqa: E731
    assert "create the file" in run("flask", "--app", "wsgi", "db-check").stdout
    assert run("--version").returncode == 0
    assert run("--nonsense").returncode == 2
