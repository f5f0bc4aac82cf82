"""Qianfan's SDK agrees with our adapters for both versions in token, address, headers and body, and reads our fixtures."""

import gc
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import qianfan
from qianfan.errors import QianfanError

from oneapi import vendors
from oneapi.vendors.contract import serving
from oneapi.wire import Call, Request
from oracles import Recorder, recording

WIRE = Path(__file__).parent.parent / "wire"
TOKEN = {"access_token": "24.tok", "expires_in": 2592000}
V1 = {"ak": "AK1", "sk": "SK1"}
BEARER = "bce-v3/ALTAK-1/2"
FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
USER = [{"role": "user", "content": "Capital of France?"}]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    config = qianfan.get_config()  # the SDK's own settings
    with recording() as found:
        for name in ("BASE_URL", "IAM_BASE_URL", "CONSOLE_API_BASE_URL"):
            monkeypatch.setattr(config, name, found.url)
        monkeypatch.setattr(config, "BEARER_TOKEN", BEARER)
        yield found
    with warnings.catch_warnings():  # the SDK leaves its connections to the collector, whose warning would hit another test
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def said(slug: str, case: str) -> bytes:
    return next((WIRE / slug / case).glob("reply.*")).read_bytes()


def golden(slug: str, case: str) -> Any:
    return json.loads((WIRE / slug / case / "golden.json").read_text())


def ours(recorder: Recorder, kind: str, body: dict[str, Any], key: str = "AK1|SK1", **config: str) -> Request:
    row = serving(vendors.by_slug("baidu"), config, key)
    secret = "24.tok" if row.exchange else ""
    call = Call(kind, body, body["model"], recorder.url, key, bool(body.get("stream")), V1 | config, secret=secret, vendor=row)
    return row.sign(vendors.guarded_build(row.protocols[kind], call), call)


def agree(request: Request, recorder: Recorder) -> None:
    """The SDK spells out that it does not stream, names itself, and for version 2 says that it wants what it gets anyway."""
    theirs = recorder.last
    assert (request.method, request.url) == (theirs.method, recorder.url + theirs.path)
    for name in ("Authorization", "appid"):
        assert request.headers.get(name) == theirs.headers.get(name.lower())
    body = {k: v for k, v in theirs.json().items() if k not in ("extra_parameters",) and not (k == "stream" and v is False)}
    assert request.body == body


def test_the_token_is_asked_for_as_the_sdk_asks(recorder: Recorder) -> None:
    recorder.answers(TOKEN | json.loads(said("baidu", "chat")))
    qianfan.ChatCompletion(version="1", ak="AK-token", sk="SK1").do(model="ERNIE-4.0-8K", messages=USER)
    theirs = recorder.asked[0]
    row = vendors.by_slug("baidu")
    assert row.exchange
    call = Call("chat", {}, "m", recorder.url, "", config={"ak": "AK-token", "sk": "SK1"}, vendor=row)
    request = row.exchange.build(call)
    assert (request.method, request.url, request.body) == (theirs.method, recorder.url + theirs.path, theirs.json())


def test_chat_is_asked_as_the_sdk_asks(recorder: Recorder) -> None:
    recorder.answers(TOKEN | json.loads(said("baidu", "chat")))
    answer = qianfan.ChatCompletion(version="1", **V1).do(
        model="ERNIE-4.0-8K", messages=USER, system="Be brief.", temperature=0.2, top_p=0.5, max_output_tokens=32, stop=["END"],
        functions=[FUNCTION], user_id="alice",
    )  # fmt: skip
    body = {
        "model": "ERNIE-4.0-8K", "messages": [{"role": "system", "content": "Be brief."}, *USER], "temperature": 0.2,
        "top_p": 0.5, "max_tokens": 32, "stop": ["END"], "tools": [{"type": "function", "function": FUNCTION}], "user": "alice",
    }  # fmt: skip
    agree(ours(recorder, "chat", body), recorder)
    assert golden("baidu", "chat")["choices"][0]["message"]["content"] == answer["result"]


def test_a_tools_result_travels_as_the_sdk_sends_it(recorder: Recorder) -> None:
    recorder.answers(TOKEN | json.loads(said("baidu", "chat")))
    called = {"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": "{}"}}
    told = {"role": "function", "name": "f", "content": "4 C"}
    qianfan.ChatCompletion(version="1", **V1).do(model="ERNIE-4.0-8K", messages=[*USER, called, told], functions=[FUNCTION])
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "c1", "content": "4 C"}
    turns = [*USER, {"role": "assistant", "content": None, "tool_calls": [call]}, result]
    body = {"model": "ERNIE-4.0-8K", "messages": turns, "tools": [{"type": "function", "function": FUNCTION}]}
    agree(ours(recorder, "chat", body), recorder)


@pytest.mark.parametrize("case", ["chat_stream", "tools_stream"])
def test_the_sdk_reads_our_streams_as_we_do(case: str, recorder: Recorder) -> None:
    recorder.answers(said("baidu", case), "text/event-stream")
    sdk = qianfan.ChatCompletion(version="1", access_token="24.tok")
    pieces = list(sdk.do(model="ERNIE-4.0-8K", messages=USER, stream=True))
    agree(ours(recorder, "chat", {"model": "ERNIE-4.0-8K", "messages": USER, "stream": True}), recorder)
    deltas = [choice["delta"] for chunk in golden("baidu", case) for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == "".join(piece["result"] for piece in pieces)
    calls = [piece["function_call"]["arguments"] for piece in pieces if "function_call" in piece.body]
    assert "".join(t["function"]["arguments"] for d in deltas for t in d.get("tool_calls") or ()) == "".join(calls)
    assert golden("baidu", case)[-1]["usage"]["total_tokens"] == pieces[-1]["usage"]["total_tokens"]


def test_embeddings_are_asked_as_the_sdk_asks(recorder: Recorder) -> None:
    recorder.answers(TOKEN | json.loads(said("baidu", "embeddings")))
    answer = qianfan.Embedding(version="1", **V1).do(["a", "b"], model="Embedding-V1")
    agree(ours(recorder, "embeddings", {"model": "Embedding-V1", "input": ["a", "b"]}), recorder)
    assert [i["embedding"] for i in golden("baidu", "embeddings")["data"]] == [i["embedding"] for i in answer["data"]]


def test_rankings_are_asked_as_the_sdk_asks(recorder: Recorder) -> None:
    recorder.answers(TOKEN | json.loads(said("baidu", "rerank")))
    qianfan.Reranker(version="1", **V1).do("q", ["a", "b"], model="bce-reranker-base_v1", top_n=1)
    body = {"model": "bce-reranker-base_v1", "query": "q", "documents": ["a", "b"], "top_n": 1}
    agree(ours(recorder, "rerank", body), recorder)


# Version 2


def test_version_2_is_asked_as_the_sdk_asks(recorder: Recorder) -> None:
    recorder.answers(said("baidu-v2", "reasoning"))
    same: dict[str, Any] = {"model": "ernie-x1-turbo-32k", "messages": USER, "temperature": 0.2, "stop": ["END"]}
    answer = qianfan.ChatCompletion(version="2", app_id="app-1").do(**same)
    agree(ours(recorder, "chat", same, BEARER, appid="app-1"), recorder)
    assert golden("baidu-v2", "reasoning")["usage"]["total_tokens"] == answer["usage"]["total_tokens"]


@pytest.mark.parametrize("case", ["stream", "reasoning_stream", "tools_stream"])
def test_the_sdk_reads_our_streams_of_version_2_as_we_do(case: str, recorder: Recorder) -> None:
    recorder.answers(said("baidu-v2", case), "text/event-stream")
    pieces = list(qianfan.ChatCompletion(version="2").do(model="m", messages=USER, stream=True))
    told = [choice["delta"] for piece in pieces for choice in piece["choices"]]
    deltas = [choice["delta"] for chunk in golden("baidu-v2", case) for choice in chunk["choices"]]
    assert deltas == told


def test_the_sdk_sees_our_errors(recorder: Recorder) -> None:
    recorder.answers(TOKEN | json.loads(said("baidu", "error_parameter")))
    with pytest.raises(QianfanError) as found:
        qianfan.ChatCompletion(version="1", **V1).do(model="ERNIE-4.0-8K", messages=USER, retry_count=1)
    assert golden("baidu", "error_parameter")["error"]["code"] in str(found.value)
