"""Amazon Bedrock: Converse for conversations with models of every family, InvokeModel for the rest.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from oneapi.fields import Field
from oneapi.vendors import bedrock_invoke, betas, converse_protocol, converse_request, messages_protocol, sigv4
from oneapi.vendors.contract import ModelList, Protocol, Vendor
from oneapi.vendors.quirks import adapted, reasoning_name, system_role
from oneapi.vendors.tagged import apart
from oneapi.wire import Call, Event, Reply, Request, VendorError, jsonable

Json = dict[str, Any]

REGION = re.compile(r"[a-z]{2,3}(-[a-z]+)+-\d")
KEY_PARTS = ("ak", "sk", "region", "session_token")
# The names that users of the older gateway know. Ids of models, inference profiles and ARNs go as they are.
NAMES = {
    "claude-instant-1.2": "anthropic.claude-instant-v1", "claude-2.0": "anthropic.claude-v2",
    "claude-2.1": "anthropic.claude-v2:1",
    "claude-3-haiku-20240307": "anthropic.claude-3-haiku-20240307-v1:0",
    "claude-3-sonnet-20240229": "anthropic.claude-3-sonnet-20240229-v1:0",
    "claude-3-opus-20240229": "anthropic.claude-3-opus-20240229-v1:0",
    "claude-3-5-sonnet-20240620": "anthropic.claude-3-5-sonnet-20240620-v1:0",
    "claude-3-5-sonnet-20241022": "anthropic.claude-3-5-sonnet-20241022-v2:0",
    "claude-3-5-sonnet-latest": "anthropic.claude-3-5-sonnet-20241022-v2:0",
    "claude-3-5-haiku-20241022": "anthropic.claude-3-5-haiku-20241022-v1:0",
    "llama3-8b-8192": "meta.llama3-8b-instruct-v1:0", "llama3-70b-8192": "meta.llama3-70b-instruct-v1:0",
}  # fmt: skip


@dataclass(frozen=True)
class Account:
    """Where a channel works and how it proves it: with an access key, or with a Bedrock API key."""

    region: str
    keys: sigv4.Keys | None
    api_key: str


def account(call: Call) -> Account:
    """The channel's form fields, else the key typed as `AK|SK|Region`, as `APIKey|Region` or as an API key alone."""
    access, secret, region, session = (str(call.config.get(name) or "") for name in KEY_PARTS)
    if not secret or REGION.fullmatch(secret):
        return Account(region or secret or _region_of(call.base_url), None, access or call.key)
    return Account(region or _region_of(call.base_url), sigv4.Keys(access, secret, session), "")


def _region_of(base_url: str) -> str:
    found = REGION.search(base_url.partition("bedrock")[2])
    if not found:
        raise VendorError("auth", "The channel does not say in which AWS region it works.")
    return found[0]


def host(call: Call, plane: str = "bedrock-runtime") -> str:
    """The channel's address or the region's; models are listed at another one."""
    base = call.base_url or f"https://bedrock-runtime.{account(call).region}.amazonaws.com"
    return base.replace("bedrock-runtime", plane, 1)


def address(call: Call, action: str) -> str:
    return f"{host(call)}/model/{quote(NAMES.get(call.model, call.model), safe='')}/{action}"


def in_anthropics_words(call: Call) -> bool:
    return call.config.get("api") == "invoke" and "claude" in call.model


def build(call: Call) -> Request:
    if in_anthropics_words(call):
        return Request(address(call, "invoke-with-response-stream" if call.streaming else "invoke"), bedrock_invoke.claude(call))
    return Request(address(call, "converse-stream" if call.streaming else "converse"), converse_request.body(call))


def parse(reply: Reply, call: Call) -> Json:
    return messages_protocol.parse(reply, call) if in_anthropics_words(call) else converse_protocol.parse(reply, call)


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    return bedrock_invoke.claude_stream(events, call) if in_anthropics_words(call) else converse_protocol.stream(events, call)


def embed(call: Call) -> Request:
    return Request(address(call, "invoke"), bedrock_invoke.embeddings(call))


def vectors(reply: Reply, call: Call) -> Json | Request:
    return bedrock_invoke.vectors(reply, call) or embed(call)


def draw(call: Call) -> Request:
    return Request(address(call, "invoke"), bedrock_invoke.image(call))


def rank(call: Call) -> Request:
    return Request(address(call, "invoke"), bedrock_invoke.ranking(call))


def placed(request: Request, call: Call) -> Request:
    """https://docs.aws.amazon.com/bedrock/latest/userguide/inference-chat-completions.html"""
    root = host(call)
    return replace(request, url=f"{root}{'' if 'bedrock-mantle' in root else '/openai'}/v1/chat/completions")


def sign(request: Request, call: Call) -> Request:
    """Signs the very bytes that travel, so the body becomes bytes here. The Mantle address has a service name of its own."""
    if isinstance(request.body, dict):
        request.body = json.dumps(request.body, ensure_ascii=False, separators=(",", ":"), default=jsonable).encode()
        request.headers.setdefault("Content-Type", "application/json")
    who = account(call)
    if who.keys is None:
        request.headers["Authorization"] = f"Bearer {who.api_key}"
        return request
    service = "bedrock-mantle" if "bedrock-mantle" in request.url else "bedrock"
    request.headers = sigv4.signed(
        request.method, request.url, request.headers, request.body or b"", who.keys,
        region=who.region, service=service, now=call.now,
    )  # fmt: skip
    return request


def models(call: Call) -> Request:
    """The region's base models first, then its inference profiles, page by page; Mantle has a list as OpenAI has it."""
    if "bedrock-mantle" in host(call):
        return Request(host(call) + "/v1/models", None, method="GET")
    page = call.memo.get("page")
    path = "/foundation-models" if page is None else f"/inference-profiles?maxResults=1000{page}"
    return Request(host(call, "bedrock") + path, None, method="GET")


def names(reply: Reply, call: Call) -> list[str] | Request:
    answer = reply.json()
    if "data" in answer:
        return [model["id"] for model in answer["data"]]
    found = call.memo.setdefault("models", [])
    first = "modelSummaries" in answer
    found += [model["modelId"] for model in answer.get("modelSummaries") or ()]
    found += [profile["inferenceProfileId"] for profile in answer.get("inferenceProfileSummaries") or ()]
    if not first and not answer.get("nextToken"):
        return list(found)
    call.memo["page"] = "" if first else f"&nextToken={quote(answer['nextToken'], safe='')}"
    return models(call)


LIKE_OPENAI = adapted(
    reasoning_name, apart("<reasoning>", "</reasoning>"), body=system_role, place=placed, fail=converse_protocol.fail
)
FIELDS = (
    Field("region", str, "", "Region", "Such as us-west-2."),
    Field("ak", str, "", "Access key", "AWS IAM access key, or a Bedrock API key with no secret key beside it.", secret=True),
    Field("sk", str, "", "Secret key", "AWS IAM secret access key.", secret=True),
    Field("session_token", str, "", "Session token", "Only for temporary credentials.", secret=True),
    Field(
        "api", str, "converse", "API for Claude", "invoke speaks Anthropic's own protocol, converse the one of all families.",
        choices=("converse", "invoke"),
    ),
)  # fmt: skip
MODELS = ModelList(models, names)
VENDORS = (
    Vendor(
        33, "bedrock", "AWS Bedrock",
        protocols={
            "chat": Protocol(build, parse, stream, framing="aws", fail=converse_protocol.fail),
            "embeddings": Protocol(embed, vectors, fail=converse_protocol.fail),
            "images": Protocol(draw, bedrock_invoke.pictures, fail=converse_protocol.fail),
            "rerank": Protocol(rank, bedrock_invoke.ranked, fail=converse_protocol.fail),
        },
        inline_images=True,
        client_headers={"anthropic-beta": betas.BEDROCK},
        sign=sign,
        timed=True,
        fields=FIELDS,
        key_label="AK|SK|Region, or a Bedrock API key",
        key_parts=KEY_PARTS,
        compatible=Vendor(
            33, "bedrock-compatible", "AWS Bedrock (OpenAI)",
            protocols={"chat": LIKE_OPENAI}, inline_images=True,
            sign=sign, timed=True, fields=FIELDS, key_parts=KEY_PARTS, model_list=MODELS,
            documents="https://docs.aws.amazon.com/bedrock/latest/userguide/inference-chat-completions.html",
        ),
        model_list=MODELS,
        owned_by="aws",
        documents="https://docs.aws.amazon.com/bedrock/latest/APIReference/welcome.html",
    ),
)  # fmt: skip
