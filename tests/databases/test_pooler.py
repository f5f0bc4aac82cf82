"""PostgreSQL behind PgBouncer in transaction mode: each transaction may reach another session of the server."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redises
import servers
from sqlalchemy import text

CONFIG = """[databases]
{name} = host=127.0.0.1 port=5432 user=postgres dbname={name}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = transaction
default_pool_size = 3
unix_socket_dir =
"""


@pytest.fixture
def pooler(tmp_path: Path) -> Iterator[str]:
    """The address of an empty database behind a pooler of the test's own."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("no pgbouncer on this machine")
    with servers.fresh("postgresql", tmp_path, "_pooler") as dsn:
        name, (port,) = dsn.rpartition("/")[2], redises.free_ports(1)
        with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
            file.write(CONFIG.format(name=name, port=port))
            file.flush()
            os.chmod(file.name, 0o644)
            words = [program, *(["-u", "nobody"] if os.geteuid() == 0 else []), file.name]  # it does not run as root
            run = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                redises.eventually(lambda: servers.answers(port))
                yield f"postgres://postgres@127.0.0.1:{port}/{name}?sslmode=disable&TimeZone=Asia/Shanghai"
            finally:
                run.kill()
                run.wait(30)


def test_it_is_created_written_to_and_opened_again(pooler: str, tmp_path: Path) -> None:
    access = {"Authorization": "f" * 32}
    environ = {"INSTANCE_PATH": str(tmp_path), "LOG_DIR": "", "SQL_DSN": pooler, "INITIAL_ROOT_ACCESS_TOKEN": "f" * 32}
    for _ in range(2):
        with servers.application(environ | {"GLOBAL_API_RATE_LIMIT": "0"}) as app:
            client = app.test_client()
            for number in range(10):
                assert client.post("/api/token/", json={"name": f"t{number}"}, headers=access).get_json()["success"]
                assert client.get("/api/user/?p=0", headers=access).get_json()["success"]
            with app.extensions["oneapi"].databases.engine.connect() as connection:
                assert connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar() == 0
