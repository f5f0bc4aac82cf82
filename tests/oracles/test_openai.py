"""OpenAI's SDK and its Azure client agree with our adapters in address, headers and body, and read our goldens."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.lib.streaming.chat._completions import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from oneapi import vendors
from oneapi.wire import Call, File, Request
from oracles import Recorder, recording

WIRE = Path(__file__).parent.parent / "wire"
MESSAGES = [{"role": "user", "content": "Capital of France?"}]
CHAT = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": []}


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as found:
        yield found


def request(slug: str, kind: str, body: dict[str, Any], base_url: str, **more: Any) -> Request:
    row = vendors.by_slug(slug)
    call = Call(kind, body, body["model"], base_url, "sk-test", vendor=row, **more)
    return row.sign(vendors.guarded_build(row.protocols[kind], call), call)


def same_place(ours: Request, recorder: Recorder, *headers: str) -> None:
    theirs = recorder.last
    assert (ours.method, ours.url) == (theirs.method, recorder.url + theirs.path)
    assert {name: {k.lower(): v for k, v in ours.headers.items()}.get(name) for name in headers} == {
        name: theirs.headers.get(name) for name in headers
    }


# Kind, path of the SDK's method, arguments.
CALLS = [
    ("chat", "chat.completions", {"model": "m", "messages": MESSAGES, "max_completion_tokens": 9, "extra_body": {"tomorrow": 1}}),
    ("completions", "completions", {"model": "m", "prompt": "Say hi"}),
    ("embeddings", "embeddings", {"model": "m", "input": ["a"], "encoding_format": "base64"}),
    ("moderations", "moderations", {"model": "m", "input": "a"}),
    ("images", "images.generate", {"model": "m", "prompt": "a cat", "size": "1024x1024"}),
    ("speech", "audio.speech", {"model": "m", "input": "Hello", "voice": "alloy"}),
]
ANSWERS: dict[str, Any] = {
    "chat": CHAT, "completions": CHAT, "embeddings": {"object": "list", "data": [{"index": 0, "embedding": "AACAPw=="}]},
    "moderations": {"results": []}, "images": {"created": 1, "data": []}, "speech": {},
}  # fmt: skip


def ask(client: openai.OpenAI, method: str, **arguments: Any) -> Any:
    found: Any = client
    for name in method.split("."):
        found = getattr(found, name)
    return (found if callable(found) else found.create)(**arguments)


def sent(arguments: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in arguments.items() if k != "extra_body"} | arguments.get("extra_body", {})


@pytest.mark.parametrize(("kind", "method", "arguments"), CALLS, ids=[call[0] for call in CALLS])
def test_openai_is_asked_as_its_sdk_asks(kind: str, method: str, arguments: dict[str, Any], recorder: Recorder) -> None:
    recorder.answers(ANSWERS[kind])
    ask(openai.OpenAI(api_key="sk-test", base_url=f"{recorder.url}/v1", max_retries=0), method, **arguments)
    ours = request("openai", kind, sent(arguments), recorder.url)
    same_place(ours, recorder, "authorization")
    assert ours.body == recorder.last.json()
    # The compatible type takes the base URL that the SDK takes.
    assert request("openai-compatible", kind, sent(arguments), f"{recorder.url}/v1").url == ours.url


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # the SDK's word for translations
@pytest.mark.parametrize("kind", ["transcriptions", "translations", "image_edits"])
def test_a_form_is_sent_as_the_sdk_sends_it(kind: str, recorder: Recorder) -> None:
    recorder.answers({"text": "hi"} if kind != "image_edits" else {"created": 1, "data": []})
    client = openai.OpenAI(api_key="sk-test", base_url=f"{recorder.url}/v1", max_retries=0)
    upload = ("a.bin", b"\x00\xff", "application/x-test")
    body: dict[str, Any] = {"model": "m", "prompt": "p"}
    if kind == "image_edits":
        client.images.edit(image=upload, n=2, **body)
        body["n"], name = 2, "image"
    else:
        getattr(client.audio, kind).create(file=upload, temperature=0.5, **body)
        body["temperature"], name = 0.5, "file"
    if kind == "transcriptions":
        client.audio.transcriptions.create(file=upload, timestamp_granularities=["word", "segment"], **body)
        body["timestamp_granularities[]"] = ["word", "segment"]
    ours = request(kind=kind, slug="openai", body=body, base_url=recorder.url, files=(File(name, *upload[::2], upload[1]),))
    same_place(ours, recorder, "authorization")
    mine = [(name, "", value.encode()) for name, value in ours.form] + [(f.name, f.filename, f.data) for f in ours.files]
    assert sorted(mine) == sorted(recorder.last.form())


AZURE = [call for call in CALLS if call[0] not in ("moderations", "speech")]


@pytest.mark.parametrize(("kind", "method", "arguments"), AZURE, ids=[call[0] for call in AZURE])
def test_azure_is_asked_as_its_sdk_asks(kind: str, method: str, arguments: dict[str, Any], recorder: Recorder) -> None:
    recorder.answers(ANSWERS[kind])
    client = openai.AzureOpenAI(api_key="sk-test", azure_endpoint=recorder.url, api_version="2024-10-21", max_retries=0)
    ask(client, method, **arguments)
    ours = request("azure", kind, sent(arguments), recorder.url, config={"api_version": "2024-10-21"})
    same_place(ours, recorder, "api-key")
    assert ours.body == recorder.last.json()


@pytest.mark.parametrize(("kind", "method", "arguments"), AZURE, ids=[call[0] for call in AZURE])
def test_azure_v1_is_asked_as_the_plain_sdk_asks_it(
    kind: str, method: str, arguments: dict[str, Any], recorder: Recorder
) -> None:
    recorder.answers(ANSWERS[kind])
    ask(openai.OpenAI(api_key="x", base_url=f"{recorder.url}/openai/v1", max_retries=0), method, **arguments)
    ours = request("azure", kind, sent(arguments), recorder.url)
    same_place(ours, recorder)
    assert ours.body == recorder.last.json()


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_azure_translations_go_where_the_sdk_sends_them(recorder: Recorder) -> None:
    recorder.answers({"text": "hi"})
    client = openai.AzureOpenAI(api_key="sk-test", azure_endpoint=recorder.url, api_version="2024-10-21", max_retries=0)
    client.audio.translations.create(model="whisper", file=("a.mp3", b"x", "audio/mpeg"))
    files = (File("file", "a.mp3", "audio/mpeg", b"x"),)
    ours = request("azure", "translations", {"model": "whisper"}, recorder.url, files=files, config={"api_version": "2024-10-21"})
    same_place(ours, recorder, "api-key")


def streamed(path: Path) -> bool:
    golden = path.parent / "golden.json"
    return golden.exists() and isinstance(json.loads(golden.read_text("utf-8")), list)


STREAMS = sorted(path.parent for path in WIRE.glob("*/chat*/reply.*") if streamed(path))
GATHERED = sorted(
    path.parent for path in WIRE.glob("*/*/golden.json") if path.read_bytes()[:400].find(b"chat.completion.chunk") > 0
)
ENDS = (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError)  # what the SDK makes of these two reasons


@pytest.mark.parametrize("case", STREAMS, ids=[f"{case.parent.name}/{case.name}" for case in STREAMS])
def test_the_sdk_reads_our_chunks(case: Path, recorder: Recorder) -> None:
    golden = json.loads((case / "golden.json").read_text("utf-8"))
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in golden) + "data: [DONE]\n\n"
    recorder.answers(body.encode(), "text/event-stream")
    client = openai.OpenAI(api_key="x", base_url=f"{recorder.url}/v1", max_retries=0)
    text, finish = "", None
    for chunk in client.chat.completions.create(model="m", messages=MESSAGES, stream=True):  # type: ignore[call-overload]
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
            assert all(tool.index is not None for tool in choice.delta.tool_calls or ())
    assert finish in ("stop", "length", "tool_calls", "content_filter")
    assert text == "".join((c["delta"].get("content") or "") for chunk in golden for c in chunk["choices"])


@pytest.mark.parametrize("case", GATHERED, ids=[f"{case.parent.name}/{case.name}" for case in GATHERED])
def test_the_sdk_gathers_our_chunks_into_an_answer(case: Path) -> None:
    golden = json.loads((case / "golden.json").read_text("utf-8"))
    if isinstance(golden, dict):  # an error ends it
        return
    state = ChatCompletionStreamState()
    with suppress(*ENDS):
        for chunk in golden:
            state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
        answer = state.get_final_completion()
        message = answer.choices[0].message
        deltas = [c["delta"] for chunk in golden for c in chunk["choices"] if not c.get("index")]
        assert (message.content or "") == "".join(delta.get("content") or "" for delta in deltas)
        ids = [call["id"] for delta in deltas for call in delta.get("tool_calls") or () if call.get("id")]
        assert [call.id for call in message.tool_calls or ()] == list(dict.fromkeys(ids))
        assert all(json.loads(call.function.arguments) is not None for call in message.tool_calls or ())
