"""Replicate's SDK makes predictions where our adapter makes them, and reads our recorded streams word for word."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import replicate
from replicate.stream import EventSource

from oneapi import vendors
from oneapi.wire import Call
from oracles import Recorder, recording

WIRE = Path(__file__).parent.parent / "wire" / "replicate"


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as found:
        yield found


@pytest.fixture
def client(recorder: Recorder) -> Iterator[replicate.Client]:
    found = replicate.Client(api_token="r8_test", base_url=recorder.url)
    yield found
    found._client.close()


def load(case: str, name: str) -> Any:
    return json.loads((WIRE / case / name).read_text("utf-8"))


@pytest.mark.parametrize("case", ["chat", "stream", "chat-version", "chat-deployment", "image", "image-several"])
def test_the_sdk_makes_a_prediction_as_we_do(case: str, client: replicate.Client, recorder: Recorder) -> None:
    ours = load(case, "request.json")
    body, wait = ours["body"], {"wait": True} if "Prefer" in ours["headers"] else {"stream": True}
    recorder.answers(load(case, "reply.json"), status=201)
    path = ours["url"].removeprefix("https://api.replicate.com")
    if "version" in body:
        client.predictions.create(version=body["version"], input=body["input"], **wait)
    elif path.startswith("/v1/deployments/"):
        name = path.removeprefix("/v1/deployments/").removesuffix("/predictions")
        recorder.answers({"owner": "acme", "name": "bot", "current_release": None})
        deployment = client.deployments.get(name)
        recorder.answers(load(case, "reply.json"), status=201)
        deployment.predictions.create(input=body["input"], **wait)
    else:
        model = path.removeprefix("/v1/models/").removesuffix("/predictions")
        client.models.predictions.create(model=model, input=body["input"], **wait)
    assert (recorder.last.method, recorder.last.path, recorder.last.json()) == ("POST", path, body)
    assert recorder.last.headers["authorization"] == ours["headers"]["Authorization"]
    assert recorder.last.headers.get("prefer") == ours["headers"].get("Prefer")


def test_the_sdk_asks_about_a_prediction_where_we_do(client: replicate.Client, recorder: Recorder) -> None:
    ours = load("chat-polled", "request.2.json")
    recorder.answers(load("chat-polled", "reply.2.json"))
    client.predictions.get("p1")
    assert (ours["method"], ours["url"]) == (recorder.last.method, "https://api.replicate.com" + recorder.last.path)


def test_the_sdk_asks_for_a_collection_where_we_do(client: replicate.Client, recorder: Recorder) -> None:
    recorder.answers({"name": "Language models", "slug": "language-models", "description": "", "models": []})
    client.collections.get("language-models")
    row = vendors.by_slug("replicate")
    assert row.model_list
    assert row.model_list.build(Call("chat", {}, "", recorder.url, "k")).url == recorder.url + recorder.last.path


def test_the_sdk_reads_our_stream_as_we_do(client: replicate.Client, recorder: Recorder) -> None:
    body = (WIRE / "stream" / "reply.2.sse").read_bytes()
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    told = "".join(str(event) for event in EventSource(client, answer) if event.event.value == "output")
    ours = [choice["delta"].get("content") or "" for piece in load("stream", "golden.json") for choice in piece["choices"]]
    assert told == "".join(ours)
