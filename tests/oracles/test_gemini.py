"""Google's SDKs ask for what our adapters ask, at the Gemini API and at Vertex AI, and read our fixtures as our goldens say."""

import base64
import json
import re
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import google.auth.credentials
import google.auth.jwt
import google.auth.transport.requests
import google.oauth2.credentials
import google.oauth2.service_account
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google import genai
from google.genai import types

from oneapi import vendors
from oneapi.vendors import google_auth
from oneapi.wire import Call, Reply, Request
from oracles import Recorder, recording, regular

WIRE = Path(__file__).parent.parent / "wire"
REPLIES = sorted(
    path.parent
    for path in WIRE.glob("gemini/*/reply.json")
    if b'"candidates"' in path.read_bytes() and regular(path.parent)
)
STREAMS = sorted(path.parent for path in WIRE.glob("gemini/*-stream/reply.sse") if path.parent.name not in ("cut-stream",))
OFF = [types.SafetySetting(category=f"HARM_CATEGORY_{harm}", threshold="BLOCK_NONE") for harm in (
    "HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")]  # fmt: skip
PNG = base64.b64decode("iVBORw0KGgo=")


def load(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as found:
        yield found


class Token(google.auth.credentials.Credentials):
    def __init__(self) -> None:
        super().__init__()
        self.token = "ya29.x"

    def refresh(self, request: Any) -> None:
        raise AssertionError("the token of a test does not expire")


@pytest.fixture
def client(recorder: Recorder) -> Iterator[genai.Client]:
    made = genai.Client(api_key="AIzaTest", http_options=types.HttpOptions(base_url=recorder.url, api_version="v1beta"))
    yield made
    made.close()


@pytest.fixture
def vertex(recorder: Recorder) -> Iterator[genai.Client]:
    there = types.HttpOptions(base_url=recorder.url, api_version="v1")
    made = genai.Client(enterprise=True, project="p1", location="us-central1", credentials=Token(), http_options=there)
    yield made
    made.close()


def request(slug: str, kind: str, body: dict[str, Any], base_url: str) -> Request:
    row = vendors.by_slug(slug)
    config = {"region": "us-central1", "vertex_ai_project_id": "p1", "vertex_ai_adc": '{"type":"service_account"}'}
    vertex = slug == "vertex"
    call = Call(
        kind, body, body["model"], base_url, "" if vertex else "AIzaTest", bool(body.get("stream")), config if vertex else {},
        secret="ya29.x" if vertex else "", vendor=row,
    )  # fmt: skip
    return row.sign(vendors.guarded_build(row.protocols[kind], call), call)


def plain(value: Any) -> Any:
    """A body in one spelling: protobuf takes names with humps or underscores, base64 in either alphabet, and no empty object."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return value.replace("-", "+").replace("_", "/")
    if not isinstance(value, dict):
        return value
    return {re.sub("_([a-z])", lambda found: found[1].upper(), k): plain(v) for k, v in value.items() if v != {}}


TOOL = {
    "name": "get_weather", "description": "Weather by city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}  # fmt: skip
DECLARED = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name="get_weather", description="Weather by city", parameters_json_schema=TOOL["parameters"])
    ]
)
USER = types.Content(role="user", parts=[types.Part(text="Weather in Oslo and Rome?")])
ASKED = {"role": "user", "content": "Weather in Oslo and Rome?"}
CALLED = [
    {"id": "fc-1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'},
     "extra_content": {"google": {"thought_signature": "QUJD"}}},
    {"id": "fc-2", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'}},
]  # fmt: skip
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def call_part(id: str, city: str, signature: bytes | None = None) -> types.Part:
    called = types.FunctionCall(id=id, name="get_weather", args={"city": city})
    return types.Part(function_call=called, thought_signature=signature)


def answer_part(id: str, response: dict[str, Any]) -> types.Part:
    return types.Part(function_response=types.FunctionResponse(id=id, name="get_weather", response=response))


def calling(**config: Any) -> types.ToolConfig:
    return types.ToolConfig(function_calling_config=types.FunctionCallingConfig(**config))


# What a client says in OpenAI's words, and in the SDK's: contents and configuration.
CONVERSATIONS: dict[str, tuple[dict[str, Any], list[types.Content], dict[str, Any]]] = {
    "sampling": (
        {"messages": [{"role": "system", "content": "Be brief."}, ASKED], "temperature": 0.2, "top_p": 0.9, "top_k": 40,
         "seed": 7, "max_completion_tokens": 9, "stop": ["END"], "presence_penalty": 0.1, "frequency_penalty": 0.2, "n": 2,
         "logprobs": True, "top_logprobs": 3},
        [USER],
        {"system_instruction": types.Content(parts=[types.Part(text="Be brief.")]), "temperature": 0.2, "top_p": 0.9, "top_k": 40,
         "seed": 7, "max_output_tokens": 9, "stop_sequences": ["END"], "presence_penalty": 0.1, "frequency_penalty": 0.2,
         "candidate_count": 2, "response_logprobs": True, "logprobs": 3},
    ),
    "tools": (
        {"messages": [ASKED], "tools": [{"type": "function", "function": TOOL}], "tool_choice": "required"},
        [USER],
        {"tools": [DECLARED], "tool_config": calling(mode="ANY")},
    ),
    "tools by name": (
        {"messages": [ASKED], "tools": [{"type": "function", "function": TOOL}],
         "tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
        [USER],
        {"tools": [DECLARED], "tool_config": calling(mode="ANY", allowed_function_names=["get_weather"])},
    ),
    "results": (
        {"messages": [ASKED, {"role": "assistant", "content": None, "tool_calls": CALLED},
                      {"role": "tool", "tool_call_id": "fc-1", "content": "4 C"},
                      {"role": "tool", "tool_call_id": "fc-2", "content": '{"t":15}'}]},
        [USER, types.Content(role="model", parts=[call_part("fc-1", "Oslo", b"ABC"), call_part("fc-2", "Rome")]),
         types.Content(role="user", parts=[answer_part("fc-1", {"result": "4 C"}), answer_part("fc-2", {"t": 15})])],
        {},
    ),
    "a picture": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {
            "url": "data:image/png;base64,iVBORw0KGgo="}}]}]},
        [types.Content(role="user", parts=[types.Part(text="What?"), types.Part.from_bytes(data=PNG, mime_type="image/png")])],
        {},
    ),
    "a schema": (
        {"messages": [ASKED], "response_format": {"type": "json_schema", "json_schema": {"name": "c", "schema": SCHEMA}}},
        [USER],
        {"response_mime_type": "application/json", "response_json_schema": SCHEMA},
    ),
    "thinking": (
        {"messages": [ASKED], "reasoning_effort": "low"},
        [USER],
        {"thinking_config": types.ThinkingConfig(thinking_budget=1024, include_thoughts=True)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_gemini_is_asked_as_the_sdk_asks(name: str, streaming: bool, client: genai.Client, recorder: Recorder) -> None:
    said, contents, config = CONVERSATIONS[name]
    ask(client, contents, config, streaming, recorder)
    ours = request(
        "gemini", "chat", {"model": "gemini-2.5-flash", **said, **({"stream": True} if streaming else {})}, recorder.url
    )
    assert ours.url == recorder.url + recorder.last.path
    assert plain(ours.body) == plain(recorder.last.json())
    assert ours.headers["x-goog-api-key"] == recorder.last.headers["x-goog-api-key"]


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", CONVERSATIONS)
def test_gemini_on_vertex_is_asked_as_the_sdk_asks(name: str, streaming: bool, vertex: genai.Client, recorder: Recorder) -> None:
    said, contents, config = CONVERSATIONS[name]
    ask(vertex, contents, config, streaming, recorder)
    ours = request(
        "vertex", "chat", {"model": "gemini-2.5-flash", **said, **({"stream": True} if streaming else {})}, recorder.url
    )
    assert ours.url == recorder.url + recorder.last.path
    assert plain(ours.body) == plain(recorder.last.json())
    assert ours.headers["Authorization"] == recorder.last.headers["authorization"]


def ask(client: genai.Client, contents: Any, config: dict[str, Any], streaming: bool, recorder: Recorder) -> None:
    wanted = types.GenerateContentConfig(**config, safety_settings=OFF)
    if streaming:
        recorder.answers(b"", "text/event-stream")
        list(client.models.generate_content_stream(model="gemini-2.5-flash", contents=contents, config=wanted))
    else:
        client.models.generate_content(model="gemini-2.5-flash", contents=contents, config=wanted)


# Slug, model, texts.
EMBEDDINGS = [
    ("gemini", "gemini-embedding-001", ["a", "b"]), ("vertex", "text-embedding-005", ["a", "b"]),
    ("vertex", "gemini-embedding-001", ["a"]), ("vertex", "gemini-embedding-001", ["a", "b"]),
]  # fmt: skip


@pytest.mark.parametrize(("slug", "model", "texts"), EMBEDDINGS)
def test_embeddings_are_asked_as_the_sdk_asks(
    slug: str, model: str, texts: list[str], client: genai.Client, vertex: genai.Client, recorder: Recorder
) -> None:
    wanted = types.EmbedContentConfig(output_dimensionality=8, task_type="RETRIEVAL_QUERY")
    asking = client if slug == "gemini" else vertex
    asking.models.embed_content(model=model, contents=texts, config=wanted)
    body = {"model": model, "input": texts, "dimensions": 8, "task_type": "RETRIEVAL_QUERY"}
    ours = request(slug, "embeddings", body, recorder.url)
    assert ours.url == recorder.url + recorder.last.path
    assert ours.body == without_role(recorder.last.json())


def without_role(value: Any) -> Any:
    """A text to embed has no speaker, so that the SDK's role says nothing."""
    if isinstance(value, list):
        return [without_role(item) for item in value]
    return {k: without_role(v) for k, v in value.items() if k != "role"} if isinstance(value, dict) else value


@pytest.mark.filterwarnings("ignore:The generate_images method")  # Imagen is on its way out
def test_imagen_on_vertex_is_asked_as_the_sdk_asks(vertex: genai.Client, recorder: Recorder) -> None:
    wanted = types.GenerateImagesConfig(number_of_images=2, aspect_ratio="16:9")
    vertex.models.generate_images(model="imagen-4.0-generate-001", prompt="A dot", config=wanted)
    ours = request(
        "vertex", "images", {"model": "imagen-4.0-generate-001", "prompt": "A dot", "n": 2, "size": "1792x1024"}, recorder.url
    )
    assert ours.url == recorder.url + recorder.last.path
    assert ours.body == recorder.last.json()


def test_models_are_listed_where_the_sdk_lists_them(client: genai.Client, recorder: Recorder) -> None:
    recorder.answers({"models": []})
    list(client.models.list(config={"page_size": 1000}))
    row = vendors.by_slug("gemini")
    assert row.model_list
    ours = row.model_list.build(Call("chat", {}, "", recorder.url, "k"))
    assert ours.url == recorder.url + recorder.last.path


@pytest.mark.parametrize("case", REPLIES, ids=[case.name for case in REPLIES])
def test_the_sdk_reads_the_reply_as_the_golden_says(case: Path) -> None:
    golden = load(case / "golden.json")
    read = types.GenerateContentResponse.model_validate(load(case / "reply.json"))
    if "choices" not in golden:  # images
        return
    for choice, candidate in zip(golden["choices"], read.candidates or (), strict=True):
        parts = (candidate.content and candidate.content.parts) or []
        message = choice["message"]
        thoughts = "".join(part.text or "" for part in parts if part.thought)
        assert (message.get("reasoning_content") or "") == thoughts
        assert (message["content"] or "").startswith("".join(part.text or "" for part in parts if not part.thought))
        calls = [part.function_call for part in parts if part.function_call]
        told = [call["function"] for call in message.get("tool_calls", ())]
        assert [(f["name"], json.loads(f["arguments"])) for f in told] == [(call.name, call.args or {}) for call in calls]
    assert read.usage_metadata and golden["usage"]["prompt_tokens"] == read.usage_metadata.prompt_token_count


@pytest.mark.parametrize("case", STREAMS, ids=[case.name for case in STREAMS])
def test_the_sdk_reads_the_stream_as_the_golden_says(case: Path, client: genai.Client, recorder: Recorder) -> None:
    golden = load(case / "golden.json")
    if isinstance(golden, dict):  # an error ends it
        return
    recorder.answers((case / "reply.sse").read_bytes(), "text/event-stream")
    read = list(client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi"))
    candidates = [candidate for answer in read for candidate in answer.candidates or ()]
    parts = [part for candidate in candidates for part in (candidate.content and candidate.content.parts) or ()]
    deltas = [choice["delta"] for chunk in golden for choice in chunk["choices"]]
    assert "".join(d.get("content") or "" for d in deltas) == "".join(part.text or "" for part in parts if not part.thought)
    assert "".join(d.get("reasoning_content") or "" for d in deltas) == "".join(part.text or "" for part in parts if part.thought)
    names = [call["function"]["name"] for d in deltas for call in d.get("tool_calls", ()) if "id" in call]
    assert names == [part.function_call.name for part in parts if part.function_call]


@pytest.fixture(scope="module")
def service_account() -> dict[str, str]:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {
        "type": "service_account", "project_id": "p1", "private_key_id": "k1", "private_key": pem.decode(),
        "client_email": "a@p1.iam.gserviceaccount.com", "public": public.decode(),
    }  # fmt: skip


def test_a_service_account_asks_for_a_token_as_google_auth_asks(service_account: dict[str, str], recorder: Recorder) -> None:
    recorder.answers({"access_token": "ya29.x", "expires_in": 3599, "token_type": "Bearer"})
    told = service_account | {"token_uri": recorder.url + "/token"}
    theirs = google.oauth2.service_account.Credentials.from_service_account_info(told, scopes=[google_auth.SCOPE])
    now = time.time()
    theirs.refresh(google.auth.transport.requests.Request())
    ours = google_auth.exchange(told, now)
    assert (ours.method, ours.url) == ("POST", recorder.url + recorder.last.path)
    assert ours.headers["Content-Type"] == recorder.last.headers["content-type"]
    mine, yours = parse_qs(ours.body.decode()), parse_qs(recorder.last.body.decode())
    assert mine["grant_type"] == yours["grant_type"]
    assert header(mine["assertion"][0]) == header(yours["assertion"][0])
    certificates = {"k1": service_account["public"]}
    for form in (mine, yours):
        claims = google.auth.jwt.decode(form["assertion"][0], certificates, audience=google_auth.TOKEN)
        assert claims.pop("exp") - claims.pop("iat") == 3600
        form["claims"] = claims
    assert mine["claims"] == yours["claims"]
    reply = Reply(200, {}, b'{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}')
    assert google_auth.token(reply, Call("chat", {}, "", "", "")) == (theirs.token, 3599.0)


def header(token: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))


def test_a_user_refreshes_a_token_as_google_auth_does(recorder: Recorder) -> None:
    recorder.answers({"access_token": "ya29.x", "expires_in": 3599, "token_type": "Bearer"})
    told = {"client_id": "c", "client_secret": "s", "refresh_token": "r", "token_uri": recorder.url + "/token"}
    theirs = google.oauth2.credentials.Credentials(None, **told)
    theirs.refresh(google.auth.transport.requests.Request())
    ours = google_auth.exchange({"type": "authorized_user", **told}, 0)
    assert ours.url == recorder.url + recorder.last.path
    assert parse_qs(ours.body.decode()) == parse_qs(recorder.last.body.decode())


def test_a_vector_in_base64_is_the_vector() -> None:
    golden = load(WIRE / "gemini" / "embeddings-base64" / "golden.json")
    assert struct.unpack("<2f", base64.b64decode(golden["data"][0]["embedding"])) == (0.5, -1.0)
