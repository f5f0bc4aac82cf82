"""The proxy configuration of deploy/, with a real nginx where there is one."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

CONFIGURATION = (Path(__file__).parent.parent / "deploy" / "nginx.conf").read_text()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def proxied(served: str, tmp_path: Path) -> Iterator[str]:
    """The address of an nginx with our configuration, on a port of its own, before the served app."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    port = free_port()
    site = CONFIGURATION.replace("one-api:3000", served.removeprefix("http://")).replace("listen 80", f"listen 127.0.0.1:{port}")
    temporary = "".join(f"{name}_temp_path {tmp_path}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    file = tmp_path / "nginx.conf"
    file.write_text(
        f"daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error.log; events {{}} "
        f"http {{ access_log off; {temporary}\n{site} }}"
    )
    process = subprocess.Popen([nginx, "-c", str(file), "-p", str(tmp_path), "-e", str(tmp_path / "error.log")])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


def test_people_sign_in_behind_our_nginx_on_any_port(proxied, person):
    alice = person("alice")
    said = requests.post(
        f"{proxied}/api/user/login",
        json={"username": "alice", "password": alice.password},
        headers={"Origin": proxied},
        timeout=30,
    )
    assert said.json()["success"], said.text
    browser = requests.Session()
    token = re.search(r'name="csrf_token" value="([^"]+)"', browser.get(f"{proxied}/login", timeout=30).text)
    form = {"csrf_token": token[1], "username": "alice", "password": alice.password}
    entered = browser.post(f"{proxied}/login", data=form, headers={"Origin": proxied}, allow_redirects=False, timeout=30)
    assert (entered.status_code, entered.headers["Location"]) == (303, "/dashboard")


def test_our_nginx_file_passes_the_port_of_the_host(served, person):
    """The headers that its directives make of a request for port 8080."""
    directives = dict(re.findall(r"proxy_set_header (\S+) ([^;]+);", CONFIGURATION))
    made = {"$http_host": "127.0.0.1:8080", "$host": "127.0.0.1", "$scheme": "http", "$proxy_add_x_forwarded_for": "192.0.2.1"}
    headers = {name: made[value] for name, value in directives.items() if value in made} | {"Origin": "http://127.0.0.1:8080"}
    body = {"username": "alice", "password": person("alice").password}
    assert requests.post(f"{served}/api/user/login", json=body, headers=headers, timeout=30).json()["success"]
