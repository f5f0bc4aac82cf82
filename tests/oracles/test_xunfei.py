"""Spark's SDK, talking to a WebSocket on loopback, agrees with our address, signature and question, and reads our fixtures."""

import json
import threading
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sparkai.llm.llm import _SparkLLMClient
from websockets.sync.server import ServerConnection, serve

from oneapi import vendors
from oneapi.vendors import xunfei
from oneapi.wire import Call, Request

WIRE = Path(__file__).parent.parent / "wire" / "xunfei"
ID, SECRET, KEY = "APP1", "exampleapisecret", "exampleapikey"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Capital of France?"}]


class Spark:
    """Remembers where it was asked and what, and answers with the messages of one fixture."""

    def __init__(self) -> None:
        self.path, self.question, self.host = "", {}, ""
        self.answer: list[Any] = []

    def __call__(self, socket: ServerConnection) -> None:
        assert socket.request
        self.path, self.host = socket.request.path, socket.request.headers["Host"]
        self.question = json.loads(socket.recv())
        for message in self.answer:
            socket.send(json.dumps(message))


@pytest.fixture
def spark() -> Iterator[Spark]:
    found = Spark()
    with serve(found, "127.0.0.1", 0) as server:
        found.host = f"127.0.0.1:{server.socket.getsockname()[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def told(spark: Spark, case: str, *, functions: list[Any], **options: Any) -> list[dict[str, Any]]:
    """What the SDK makes of a fixture's messages."""
    spark.answer = json.loads((WIRE / case / "reply.ws.json").read_text())
    client = _SparkLLMClient(
        ID, KEY, SECRET, api_url=f"ws://{spark.host}/v3.5/chat", spark_domain="generalv3.5", model_kwargs=options
    )
    thread = client.arun(MESSAGES, "u1", streaming=True, function_definition=functions)
    found = list(client.subscribe(timeout=30))
    thread.join()
    return found


def ours(spark: Spark, body: dict[str, Any]) -> Request:
    row = vendors.by_slug("xunfei")
    config = {"app_id": ID, "api_secret": SECRET, "api_key": KEY}
    call = Call("chat", body, body["model"], f"http://{spark.host}", "", True, config, now=1700000000, vendor=row)
    return row.sign(vendors.guarded_build(row.protocols["chat"], call), call)


def test_spark_is_asked_as_its_sdk_asks(spark: Spark) -> None:
    functions = [{"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}]
    told(spark, "chat_stream", functions=functions, temperature=0.2, max_tokens=32, top_k=3)
    body = {"model": "Spark-Max", "messages": MESSAGES, "temperature": 0.2, "max_tokens": 32, "top_k": 3, "user": "u1",
            "tools": [{"type": "function", "function": f} for f in functions]}  # fmt: skip
    request = ours(spark, body)
    place = urlsplit(spark.path)
    assert (urlsplit(request.url).netloc, urlsplit(request.url).path) == (spark.host, place.path)
    assert request.body == spark.question
    # With the SDK's date, our credentials are the SDK's: same names, host and signature.
    theirs = {name: values[0] for name, values in parse_qs(place.query).items()}
    found = xunfei.credentials(f"ws://{spark.host}{place.path}", KEY, SECRET, theirs["date"])
    assert found.keys() == theirs.keys() and found["host"] == theirs["host"]
    said, spoken = (b64decode(query["authorization"]).decode() for query in (found, theirs))
    assert "".join(said.split()) == "".join(spoken.split())


@pytest.mark.parametrize("case", ["chat_stream", "reasoning_stream", "tools_stream"])
def test_the_sdk_reads_our_frames_as_we_do(case: str, spark: Spark) -> None:
    *pieces, whole, usage = told(spark, case, functions=[])
    golden = json.loads((WIRE / case / "golden.json").read_text())
    deltas = [choice["delta"] for chunk in golden for choice in chunk["choices"]]
    for key in ("content", "reasoning_content"):
        assert "".join(delta.get(key) or "" for delta in deltas) == "".join(piece["data"].get(key) or "" for piece in pieces)
    tools = [tool for delta in deltas for tool in delta.get("tool_calls") or ()]
    called = whole["data"].get("function_call") or {"arguments": ""}
    assert "".join(tool["function"]["arguments"] for tool in tools) == called["arguments"]
    assert golden[-1]["usage"]["total_tokens"] == usage["usage"]["total_tokens"]
