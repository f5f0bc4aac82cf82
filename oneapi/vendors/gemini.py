"""Google's Gemini API: https://ai.google.dev/api"""

from urllib.parse import quote

from oneapi.fields import Field
from oneapi.vendors import gemini_media, gemini_protocol, gemini_request
from oneapi.vendors.contract import ModelList, Protocol, Vendor
from oneapi.vendors.gemini_request import address, root
from oneapi.vendors.signing import header
from oneapi.wire import Call, Reply, Request

BASE = "https://generativelanguage.googleapis.com"
COMPATIBLE = "/v1beta/openai"


def build(call: Call) -> Request:
    action = "streamGenerateContent?alt=sse" if call.streaming else "generateContent"
    return Request(address(call, action), gemini_request.body(call))


def embed(call: Call) -> Request:
    return Request(address(call, "batchEmbedContents"), gemini_media.batch(call))


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
    "chat": Protocol(build, gemini_protocol.parse, gemini_protocol.stream, fail=gemini_protocol.fail),
    "embeddings": Protocol(embed, gemini_media.vectors, fail=gemini_protocol.fail),
    "images": Protocol(draw, gemini_media.pictures, fail=gemini_protocol.fail),
    "image_edits": Protocol(draw, gemini_media.pictures, fail=gemini_protocol.fail),
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
            24, "gemini-compatible", "Gemini (OpenAI)", BASE, owned_by="google",
            paths={
                "chat": f"{COMPATIBLE}/chat/completions", "embeddings": f"{COMPATIBLE}/embeddings",
                "images": f"{COMPATIBLE}/images/generations",
            },
            documents="https://ai.google.dev/gemini-api/docs/openai",
        ),
        model_list=ModelList(models, names),
        owned_by="google",
        documents="https://ai.google.dev/api",
    ),
)  # fmt: skip
