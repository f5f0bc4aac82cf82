"""A fresh start, driven from outside as its first administrator and clients do, with no network but the loopback."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import openai
import pytest
from asks import CHAT, post
from fake_vendor import FakeVendor, chat, stream
from nodes import Node

PASSWORD, SECRET, PROMPT = "a password of my own", "sk-vendor-secret-0123456789", "what nobody else shall read"
HI: Any = [{"role": "user", "content": PROMPT}]

# Told by Python itself of every address that is looked up or connected to, also by native code and before gevent.
NO_NETWORK = """
import os, sys
def told(event, args):
    place = args[1] if event == "socket.connect" else args[0] if event == "socket.getaddrinfo" else None
    host = place[0] if isinstance(place, tuple) else place
    if host is None or event == "socket.connect" and not isinstance(place, tuple):
        return
    if host not in ("127.0.0.1", "::1", "localhost", "0.0.0.0", b"127.0.0.1"):
        with open(os.environ["OUTSIDE"], "a") as file:
            file.write(f"{event} {host}\\n")
        raise OSError(101, "Network is unreachable")
sys.addaudithook(told)
"""


class Api:
    """A program with a session of its own at the management API."""

    def __init__(self, node: Node):
        self.node, self.cookie = node, ""

    def ask(self, method: str, path: str, **body: Any) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.node.port, timeout=20)
        headers = {"Content-Type": "application/json", "Cookie": self.cookie}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        self.cookie = (answer.headers["Set-Cookie"] or self.cookie).partition(";")[0]
        found = answer.status, json.loads(answer.read())
        connection.close()
        return found

    def do(self, method: str, path: str, **body: Any) -> Any:
        """The data of an answer that must be a success."""
        status, answer = self.ask(method, path, **body)
        assert status == 200 and answer["success"], answer
        return answer.get("data")


@pytest.fixture
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    environment = {
        "INSTANCE_PATH": str(tmp_path / "instance"), "LOG_DIR": str(tmp_path / "logs"), "PYTHONPATH": str(tmp_path),
        "OUTSIDE": str(tmp_path / "outside"), "DEBUG": "true",
    }  # fmt: skip
    with Node(environment, workers=request.param, folder=tmp_path) as node:
        yield node


def soon(check: Callable[[], bool]) -> bool:
    """Whether within two seconds, and what a busy machine adds, eight answers in a row pass, whichever process gives them."""
    until = time.monotonic() + 3.5
    while time.monotonic() < until:
        if all(check() for _ in range(8)):
            return True
        gevent.sleep(0.05)
    return False


@pytest.mark.parametrize("node", [0, 4], ids=["app.py", "four workers"], indirect=True)
def test_from_the_first_start_to_the_first_charge(node: Node, vendor: FakeVendor, tmp_path: Path) -> None:
    root = Api(node)
    assert root.do("POST", "/api/user/login", username="root", password="123456")["role"] == 100
    assert root.ask("GET", "/api/channel/")[0] == 403  # a password of one's own comes first
    root.do("PUT", "/api/user/self", password=PASSWORD)
    root.do("POST", "/api/channel/", type=1, name="mine", key=SECRET, base_url=vendor.url, models="gpt-4o-mini,gpt-4o")
    made = root.do("POST", "/api/token/", name="mine", expired_time=-1, remain_quota=500_000, unlimited_quota=False)

    vendor.says(chat("Hello!", 1251, 102), stream("one two three", 1251, 102), chat("no", 1, 1) | {"choices": []})
    with openai.OpenAI(base_url=f"{node.url}/v1", api_key=f"sk-{made['key']}", max_retries=0, timeout=20) as client:
        whole = client.chat.completions.create(model="gpt-4o-mini", messages=HI)
        chunks = list(client.chat.completions.create(model="gpt-4o-mini", messages=HI, stream=True))
        with pytest.raises(openai.InternalServerError) as failed:
            client.chat.completions.create(model="gpt-4o-mini", messages=HI)
        assert {model.id for model in client.models.list()} == {"gpt-4o-mini", "gpt-4o"}
    assert whole.choices[0].message.content == "Hello!"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "onetwothree"

    logs = root.do("GET", "/api/log/self?type=2")
    assert [(row["quota"], row["prompt_tokens"], row["is_stream"]) for row in logs] == [(125, 1251, True), (125, 1251, False)]
    assert logs[1]["request_id"] == whole._request_id != failed.value.request_id
    left = root.do("GET", f"/api/token/{made['id']}")
    assert (left["remain_quota"], left["used_quota"]) == (499_750, 250)
    assert root.do("GET", "/api/user/self")["used_quota"] == 250
    assert root.do("GET", "/api/channel/1")["used_quota"] == 250

    assert node.stop() == 0
    said = node.output.read_text() + "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    assert f"request={failed.value.request_id} " in said
    assert not [word for word in (PROMPT, SECRET, PASSWORD, made["key"], "Hello!") if word in said]
    assert not (tmp_path / "outside").exists(), (tmp_path / "outside").read_text()


@pytest.mark.parametrize("node", [0], ids=["app.py"], indirect=True)
@pytest.mark.parametrize("type", [30, 8, 50], ids=["Ollama", "Custom", "OpenAI compatible"])
def test_a_model_of_ones_own_server_answers_in_the_first_hour_and_is_free(node: Node, vendor: FakeVendor, type: int) -> None:
    root = Api(node)
    root.do("POST", "/api/user/login", username="root", password="123456")
    root.do("PUT", "/api/user/self", password=PASSWORD)
    options = {row["key"]: row["value"] for row in root.do("GET", "/api/option/")}
    assert (options["RetryTimes"], options["UnknownModelPolicy"], options["PrivateNetworksEnabled"]) == ("2", "refuse", "true")
    key = {} if type == 30 else {"key": "unused"}
    new = {"type": type, "name": "mine", "base_url": vendor.url, "models": "llama3", "config": '{"protocol": "native"}'} | key
    status, answer = root.ask("POST", "/api/channel/", **new)
    assert status == 200 and answer["success"], answer
    assert (answer["unpriced_models"], answer["unpriced_policy"]) == (["llama3"], "free")
    made = root.do("POST", "/api/token/", name="mine", expired_time=-1, remain_quota=500_000, unlimited_quota=False)
    ollama = {"model": "llama3", "message": {"role": "assistant", "content": "Hello!"}, "done": True}
    vendor.says(ollama | {"prompt_eval_count": 12, "eval_count": 3} if type == 30 else chat("Hello!", 12, 3))
    with openai.OpenAI(base_url=f"{node.url}/v1", api_key=f"sk-{made['key']}", timeout=20) as client:
        said = client.chat.completions.create(model="llama3", messages=HI)
        assert said.choices[0].message.content == "Hello!"
        with pytest.raises(openai.NotFoundError) as missing:
            client.with_options(base_url=f"{node.url}/openai").models.list()
    assert "Invalid URL" in missing.value.message
    (row,) = root.do("GET", "/api/log/self?type=2")
    assert (row["quota"], row["prompt_tokens"], row["completion_tokens"]) == (0, 12, 3)
    detail = row["detail"] if isinstance(row["detail"], dict) else json.loads(row["detail"])
    assert detail["unpriced"] is True
    assert root.do("GET", f"/api/token/{made['id']}")["remain_quota"] == 500_000


@pytest.mark.parametrize("node", [4], ids=["four workers"], indirect=True)
def test_whatever_is_switched_off_through_the_api_is_refused_by_every_process(node: Node, vendor: FakeVendor) -> None:
    root, anna = Api(node), Api(node)
    root.do("POST", "/api/user/login", username="root", password="123456")
    root.do("PUT", "/api/user/self", password=PASSWORD)
    root.do("POST", "/api/channel/", type=1, name="mine", key=SECRET, base_url=vendor.url, models="gpt-4o-mini")
    root.do("POST", "/api/user/", username="anna", password=PASSWORD)
    (row,) = root.do("GET", "/api/user/search?keyword=anna")
    root.do("POST", "/api/topup", user_id=row["id"], quota=10**6)
    anna.do("POST", "/api/user/login", username="anna", password=PASSWORD)
    made = anna.do("POST", "/api/token/", name="hers", expired_time=-1, remain_quota=0, unlimited_quota=True)
    told = lambda status: soon(lambda: post(node.url, made["key"], CHAT).status == status)  # noqa: E731
    assert told(200)
    for off, on, refused in (
        (lambda: anna.do("PUT", "/api/token/?status_only=true", id=made["id"], status=2),
         lambda: anna.do("PUT", "/api/token/?status_only=true", id=made["id"], status=1), 401),
        (lambda: root.do("PUT", "/api/channel/", id=1, status=2), lambda: root.do("PUT", "/api/channel/", id=1, status=1), 503),
        (lambda: root.do("POST", "/api/user/manage", username="anna", action="disable"),
         lambda: root.do("POST", "/api/user/manage", username="anna", action="enable"), 403),
    ):  # fmt: skip
        off()
        assert told(refused), refused
        on()
        assert told(200), refused
    anna.do("POST", "/api/user/login", username="anna", password=PASSWORD)
    anna.do("DELETE", f"/api/token/{made['id']}")
    assert told(401)
