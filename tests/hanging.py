"""Database servers of a test's own, as processes on free ports, which can be made to hang."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine
from sqlalchemy.exc import DBAPIError

PROGRAMS = {"mysql": ("mariadbd", "mariadb-install-db"), "postgresql": ("postgres", "initdb")}
START_SECONDS = 60


class Server:
    """One process. `hang` stops it in the midst of what it does; its connections stay open and nothing answers."""

    def __init__(self, kind: str, folder: Path):
        self.kind, self.folder, self.data = kind, folder, folder / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._user = {"mysql": "mysql", "postgresql": "postgres"}[kind] if os.getuid() == 0 else None
        self._own(folder)
        self._run(*self._install(), check=True)
        self.start()
        self.dsn = {
            "mysql": f"root:@tcp(127.0.0.1:{self.port})/oneapi", "postgresql": f"postgres://postgres@127.0.0.1:{self.port}/oneapi",
        }[kind]  # fmt: skip
        self._make_database()

    def _own(self, path: Path) -> None:
        if self._user is not None:
            shutil.chown(path, self._user)

    def _install(self) -> list[str]:
        if self.kind == "postgresql":
            return ["initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "--no-sync"]
        return [
            "mariadb-install-db", "--no-defaults", f"--datadir={self.data}", "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]  # fmt: skip

    def _command(self) -> list[str]:
        if self.kind == "postgresql":
            return ["postgres", "-D", str(self.data), "-p", str(self.port), "-h", "127.0.0.1", "-k", str(self.folder), "-F"]
        return [
            "mariadbd", "--no-defaults", f"--datadir={self.data}", f"--port={self.port}", "--bind-address=127.0.0.1",
            f"--socket={self.folder / 's'}", f"--pid-file={self.folder / 'pid'}", "--innodb-buffer-pool-size=16M",
        ]  # fmt: skip

    def _run(self, *command: str, check: bool = False) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, user=self._user, cwd=self.folder, start_new_session=True
            )
        if check and process.wait(START_SECONDS):
            raise RuntimeError((self.folder / "log").read_text()[-2000:])
        return process

    def _make_database(self) -> None:
        url = {
            "mysql": URL.create("mysql+pymysql", "root", host="127.0.0.1", port=self.port),
            "postgresql": URL.create("postgresql+psycopg", "postgres", host="127.0.0.1", port=self.port, database="postgres"),
        }[self.kind]
        engine, deadline = create_engine(url, isolation_level="AUTOCOMMIT"), time.monotonic() + START_SECONDS
        while True:
            try:
                with engine.connect() as connection:
                    connection.exec_driver_sql("CREATE DATABASE oneapi")
                    break
            except DBAPIError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()[-2000:]) from None
                time.sleep(0.1)
        engine.dispose()

    def _signal(self, number: int) -> None:
        """Send a signal to every process of the server: PostgreSQL has one for each connection, in a session of their own."""
        for pid in [self.process.pid, *self._children(self.process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    @staticmethod
    def _children(pid: int) -> list[int]:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def start(self) -> None:
        """Start it, also after `end`."""
        self.process = self._run(*self._command())

    def hang(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        self._signal(signal.SIGKILL)
        self.process.wait(30)


@contextmanager
def server(kind: str) -> Iterator[Server]:
    """A server with an empty database `oneapi`; skips where its programs are missing, but fails where all must be tested."""
    if not all(map(shutil.which, PROGRAMS[kind])):
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must test a {kind} server that hangs, but {PROGRAMS[kind]} are missing")
        pytest.skip(f"{PROGRAMS[kind]} are not on this machine")
    folder = Path(tempfile.mkdtemp(prefix="oneapi-"))  # short enough for the path of a Unix socket, and open to another user
    folder.chmod(0o755)
    made: Server | None = None
    try:
        made = Server(kind, folder)
        yield made
    finally:
        if made is not None:
            made.end()
        shutil.rmtree(folder, ignore_errors=True)
