"""Google's Gemini API: https://ai.google.dev/api"""

from typing import Any
from urllib.parse import quote

from oneapi.fields import Field
from oneapi.vendors import balances, gemini_media, gemini_protocol, gemini_request, google_errors, openai, quirks
from oneapi.vendors.batches import batched
from oneapi.vendors.contract import ModelList, Protocol, Vendor
from oneapi.vendors.gemini_request import address, root
from oneapi.vendors.signing import header
from oneapi.vendors.tagged import apart
from oneapi.wire import Call, Reply, Request

BASE = "https://generativelanguage.googleapis.com"
COMPATIBLE = "/v1beta/openai"
OPENAI_PAGE = "https://ai.google.dev/gemini-api/docs/openai"


def build(call: Call) -> Request:
    action = "streamGenerateContent?alt=sse" if call.streaming else "generateContent"
    return Request(address(call, action), gemini_request.body(call))


def embed(call: Call) -> Request:
    return Request(address(call, "batchEmbedContents"), gemini_media.batch(call))


def vectors(reply: Reply, call: Call) -> dict[str, Any] | Request:
    return gemini_media.vectors(reply, call) or embed(call)


def draw(call: Call) -> Request:
    if gemini_media.is_imagen(call.model):
        return Request(address(call, "predict"), gemini_media.imagen(call))
    return Request(address(call, "generateContent"), gemini_media.drawing(call))


def models(call: Call) -> Request:
    page = f"&pageToken={quote(call.memo['page'])}" if call.memo.get("page") else ""
    return Request(f"{root(call)}/models?pageSize=1000{page}", None, method="GET")


def names(reply: Reply, call: Call) -> list[str] | Request:
    answer = reply.json()
    found = call.memo.setdefault("models", [])
    found += [model["name"].removeprefix("models/") for model in answer.get("models") or ()]
    call.memo["page"] = answer.get("nextPageToken")
    return models(call) if call.memo["page"] else list(found)


PROTOCOLS = {
    "chat": Protocol(build, gemini_protocol.parse, gemini_protocol.stream, fail=google_errors.fail),
    "embeddings": Protocol(embed, vectors, fail=google_errors.fail),
    "images": Protocol(draw, gemini_media.pictures, fail=google_errors.fail),
    "image_edits": Protocol(draw, gemini_media.pictures, fail=google_errors.fail),
}

# Google's OpenAI-compatible address leaves reasoning out of what it counts and
# writes thoughts into the answer.
PLAIN = Protocol(openai.build, openai.parse, openai.stream, native=True, fail=google_errors.fail)
MENDS = (quirks.reasoning_counted, apart("<thought>", "</thought>"))
LIKE_OPENAI = {
    "chat": quirks.adapted(*MENDS, body=quirks.system_role, fail=google_errors.fail),
    "embeddings": batched(PLAIN, gemini_media.AT_ONCE),
    "images": PLAIN,
}

VENDORS = (
    Vendor(
        24, "gemini", "Gemini", BASE,
        protocols=PROTOCOLS,
        inline_images=True,
        sign=header("x-goog-api-key"),
        environment={"api_version": "gemini_version", "safety": "gemini_safety_setting"},
        fields=(Field("api_version", str, "", "Version of the API", "Such as v1beta or v1; empty means v1beta."),),
        compatible=Vendor(
            24, "gemini-compatible", "Gemini (OpenAI)", BASE, LIKE_OPENAI, owned_by="google", inline_images=True,
            paths={kind: COMPATIBLE + openai.PATHS[kind].removeprefix("/v1") for kind in LIKE_OPENAI},
            model_list=balances.models(f"{COMPATIBLE}/models"), documents=OPENAI_PAGE,
        ),
        model_list=ModelList(models, names),
        owned_by="google",
        documents="https://ai.google.dev/api",
    ),
    Vendor(
        51, "gemini-openai", "Gemini (OpenAI compatible)", BASE + COMPATIBLE, LIKE_OPENAI, strip_v1=True, inline_images=True,
        model_list=balances.MODELS, owned_by="geminiv2", key_label="Google API key", documents=OPENAI_PAGE,
    ),
)  # fmt: skip
