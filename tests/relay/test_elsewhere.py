"""A vendor may answer a streaming request with where the stream is, or with a task to ask about: the client sees one stream."""

import json
from typing import Any

from oneapi.vendors import by_slug

ASKED = {"model": "meta/llama", "messages": [{"role": "user", "content": "Capital of France?"}], "stream": True}
PRICES = {"meta/llama": 1}


def prediction(status: str, **more: Any) -> bytes:
    return json.dumps({"id": "p1", "status": status, "urls": {}, "output": None, "error": None} | more).encode()


def words(body: str) -> str:
    chunks = [json.loads(line[6:]) for line in body.split("\n") if line.startswith("data: {")]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def test_a_stream_that_is_elsewhere_is_fetched_there(client, vendor, channel, alice, setting) -> None:
    setting(ModelRatio=PRICES)
    channel(type=by_slug("replicate").id, models="meta/llama")
    vendor.says(prediction("starting", urls={"stream": vendor.url + "/there"}), status=201)
    vendor.says(
        b"event: output\ndata: Par\n\nevent: output\ndata: is.\n\nevent: done\ndata: {}\n\n", content_type="text/event-stream"
    )
    answer = client.post("/v1/chat/completions", json=ASKED, headers=alice.headers)
    assert answer.status_code == 200
    assert words(answer.text) == "Paris."
    assert answer.text.endswith("data: [DONE]\n\n")
    assert [asked.path for asked in vendor.asked] == ["/v1/models/meta/llama/predictions", "/there"]


def test_a_proxy_channel_passes_anything_on(client, vendor, channel, admin) -> None:
    id = channel(type=by_slug("proxy").id, models="", key="Token abc")
    vendor.says(b"no such thing", status=404, headers={"X-Up": "b", "Set-Cookie": "a=b"}, content_type="text/plain")
    answer = client.get(f"/v1/oneapi/proxy/{id}/v1/things?x=1", headers=admin.headers | {"X-Trace": "a"})
    assert (answer.status_code, answer.text, answer.headers["X-Up"]) == (404, "no such thing", "b")
    assert "Set-Cookie" not in answer.headers
    asked = vendor.asked[-1]
    assert (asked.path, asked.query, asked.headers["x-trace"]) == ("/v1/things", "x=1", "a")
    assert asked.headers["authorization"] == "Token abc"


def test_only_administrators_reach_a_proxy_channel(client, vendor, channel, alice) -> None:
    id = channel(type=by_slug("proxy").id, models="", key="Token abc")
    assert client.get(f"/v1/oneapi/proxy/{id}/v1/things", headers=alice.headers).status_code == 403
    assert not vendor.asked
