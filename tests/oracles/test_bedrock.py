"""boto3 sends and signs our requests as we do, and reads our fixtures as our goldens say."""

import base64
import json
from calendar import timegm
from collections.abc import Iterator
from pathlib import Path
from time import strptime
from typing import Any
from urllib.parse import unquote

import boto3
import frames
import pytest
from botocore.auth import BearerAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.tokens import FrozenAuthToken

from oneapi import vendors
from oneapi.vendors import sigv4
from oneapi.wire import Call, Request
from oracles import Recorder, recording, regular

WIRE = Path(__file__).parent.parent / "wire" / "bedrock"
REQUESTS = sorted(path.parent for path in WIRE.glob("*/request.json") if not path.parent.name.startswith("error-"))
CONVERSE = [case for case in REQUESTS if b"/converse" in (case / "request.json").read_bytes()]
INVOKE = [case for case in REQUESTS if case not in CONVERSE]
STREAMS = [case for case in CONVERSE if case.name.endswith("-stream") and case.name != "cut-stream" and regular(case)]
REPLIES = [case for case in CONVERSE if (case / "reply.json").exists() and regular(case)]
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}}, "stopReason": "end_turn",
    "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}, "metrics": {"latencyMs": 1},
}  # fmt: skip
EVENTS = "application/vnd.amazon.eventstream"


def load(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def names(cases: list[Path]) -> list[str]:
    return [case.name for case in cases]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as found:
        yield found


class Clients:
    """boto3 clients of one test, closed when it ends."""

    def __init__(self, recorder: Recorder):
        self.recorder, self.made = recorder, list[Any]()

    def __call__(self, service: str = "bedrock-runtime", session: str | None = None) -> Any:
        made = boto3.client(
            service, region_name="us-east-1", endpoint_url=self.recorder.url, aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="secret", aws_session_token=session, config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip
        self.made.append(made)
        return made


@pytest.fixture
def client(recorder: Recorder) -> Iterator[Clients]:
    clients = Clients(recorder)
    yield clients
    for made in clients.made:
        made.close()


def blobs(value: Any) -> Any:
    """Our JSON as boto3's arguments: it wants bytes where the wire has base64."""
    if isinstance(value, list):
        return [blobs(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        k: base64.b64decode(v) if k in ("bytes", "redactedContent") and isinstance(v, str) else blobs(v) for k, v in value.items()
    }


def model_of(url: str) -> str:
    return unquote(url.partition("/model/")[2].partition("/")[0])


@pytest.mark.parametrize("case", CONVERSE, ids=names(CONVERSE))
def test_boto3_sends_our_request(case: Path, client: Clients, recorder: Recorder) -> None:
    ours = load(case / "request.json")
    streaming = ours["url"].endswith("-stream")
    recorder.answers(b"" if streaming else ANSWER, EVENTS if streaming else "application/json")
    asking = client()
    found = (asking.converse_stream if streaming else asking.converse)(modelId=model_of(ours["url"]), **blobs(ours["body"]))
    if streaming:
        found["stream"].close()
    assert recorder.last.path == "/model/" + ours["url"].partition("/model/")[2]
    assert recorder.last.json() == ours["body"]


@pytest.mark.parametrize("case", INVOKE, ids=names(INVOKE))
def test_boto3_invokes_a_model_where_we_do(case: Path, client: Clients, recorder: Recorder) -> None:
    ours = load(case / "request.json")
    streaming = ours["url"].endswith("-stream")
    recorder.answers(b"" if streaming else {}, EVENTS if streaming else "application/json")
    asking = client()
    invoke = asking.invoke_model_with_response_stream if streaming else asking.invoke_model
    found = invoke(modelId=model_of(ours["url"]), body=json.dumps(ours["body"]), contentType="application/json")
    found["body"].close()
    assert recorder.last.path == "/model/" + ours["url"].partition("/model/")[2]
    assert recorder.last.headers["content-type"] == ours["headers"]["Content-Type"]


@pytest.mark.parametrize("session", [None, "token"])
@pytest.mark.parametrize("model", ["amazon.nova-pro-v1:0", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x-v1:0"])
def test_we_sign_as_botocore_signs(model: str, session: str | None, client: Clients, recorder: Recorder) -> None:
    recorder.answers(ANSWER)
    client(session=session).converse(modelId=model, messages=[{"role": "user", "content": [{"text": "h\u00e9 / ?"}]}])
    theirs = recorder.last
    named = theirs.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers = {name: theirs.headers[name] for name in named if name not in ("host", "x-amz-date", "x-amz-security-token")}
    now = timegm(strptime(theirs.headers["x-amz-date"], "%Y%m%dT%H%M%SZ"))
    keys = sigv4.Keys("AKIDEXAMPLE", "secret", session or "")
    ours = sigv4.signed(
        theirs.method, recorder.url + theirs.path, headers, theirs.body, keys, region="us-east-1", service="bedrock", now=now
    )
    assert ours["Authorization"] == theirs.headers["authorization"]


def test_an_api_key_is_sent_as_botocore_sends_it() -> None:
    theirs = AWSRequest("POST", "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse", data=b"{}")
    BearerAuth(FrozenAuthToken("ABSKtest")).add_auth(theirs)
    row = vendors.by_slug("bedrock")
    call = Call("chat", {}, "m", "", "ABSKtest", config={"ak": "ABSKtest", "region": "us-east-1"}, vendor=row)
    ours = row.sign(Request(theirs.url, {}), call)
    assert ours.headers["Authorization"] == theirs.headers["Authorization"]


def test_models_are_listed_where_boto3_lists_them(client: Clients, recorder: Recorder) -> None:
    row = vendors.by_slug("bedrock")
    assert row.model_list
    call = Call("chat", {}, "m", "", "AKIDEXAMPLE|secret|us-east-1", config={"region": "us-east-1"}, vendor=row)
    asking = client("bedrock")
    recorder.answers({"modelSummaries": []})
    asking.list_foundation_models()
    ours = row.model_list.build(call)
    assert ours.url == "https://bedrock.us-east-1.amazonaws.com" + recorder.last.path
    call.memo["page"] = "&nextToken=a%2Fb"
    recorder.answers({"inferenceProfileSummaries": []})
    asking.list_inference_profiles(maxResults=1000, nextToken="a/b")
    assert row.model_list.build(call).url == "https://bedrock.us-east-1.amazonaws.com" + recorder.last.path


@pytest.mark.parametrize("case", REPLIES, ids=names(REPLIES))
def test_boto3_reads_the_reply_as_the_golden_says(case: Path, client: Clients, recorder: Recorder) -> None:
    recorder.answers((case / "reply.json").read_bytes())
    read = client().converse(modelId="m", messages=[{"role": "user", "content": [{"text": "hi"}]}])
    golden = load(case / "golden.json")
    message, blocks = golden["choices"][0]["message"], read["output"]["message"]["content"]
    cited = [piece for block in blocks if "citationsContent" in block for piece in block["citationsContent"]["content"]]
    assert (message["content"] or "") == "".join(block["text"] for block in (*blocks, *cited) if "text" in block)
    tools = [block["toolUse"] for block in blocks if "toolUse" in block]
    told = [call["function"] for call in message.get("tool_calls", ())]
    assert [(f["name"], json.loads(f["arguments"])) for f in told] == [(tool["name"], tool["input"]) for tool in tools]
    assert golden["usage"]["completion_tokens"] == read["usage"]["outputTokens"]


@pytest.mark.parametrize("case", STREAMS, ids=names(STREAMS))
def test_boto3_reads_the_stream_as_the_golden_says(case: Path, client: Clients, recorder: Recorder) -> None:
    items, golden = load(case / "reply.awsjson"), load(case / "golden.json")
    recorder.answers(b"".join(frames.aws(item["event"], item["payload"]) for item in items), EVENTS)
    read = client().converse_stream(modelId="m", messages=[{"role": "user", "content": [{"text": "hi"}]}])
    pieces = [event["contentBlockDelta"] for event in read["stream"] if "contentBlockDelta" in event]
    deltas = [choice["delta"] for chunk in golden for choice in chunk["choices"]]
    assert "".join(d.get("content", "") for d in deltas) == "".join(p["delta"].get("text", "") for p in pieces)
    thoughts = [p["delta"]["reasoningContent"] for p in pieces if "reasoningContent" in p["delta"]]
    assert "".join(d.get("reasoning_content", "") for d in deltas) == "".join(t.get("text", "") for t in thoughts)
    ours: dict[int, str] = {}
    for part in (part for delta in deltas for part in delta.get("tool_calls", ())):
        ours[part["index"]] = ours.get(part["index"], "") + part["function"]["arguments"]
    theirs: dict[int, str] = {}
    for piece in pieces:
        if "toolUse" in piece["delta"]:
            at = piece["contentBlockIndex"]
            theirs[at] = theirs.get(at, "") + piece["delta"]["toolUse"]["input"]
    assert list(ours.values()) == [theirs[at] or "{}" for at in sorted(theirs)]
