"""Cloudflare Workers AI: its OpenAI-compatible address by preference, and its own `run` for everything that has none."""

from dataclasses import replace

from oneapi.fields import Field
from oneapi.vendors import cloudflare_run as run
from oneapi.vendors import openai
from oneapi.vendors.batches import batched
from oneapi.vendors.contract import ModelList, Protocol, Vendor, bearer
from oneapi.vendors.quirks import adapted, reshaped, said_content, system_role
from oneapi.wire import Call, Reply, Request


def compatible_url(call: Call) -> str:
    """The gateway's unified endpoint, .../compat, has no /v1 and takes {provider}/{model} names."""
    return openai.address(run.prefix(call), openai.PATHS[call.kind])


def build_compatible(call: Call) -> Request:
    """https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility/"""
    return openai.request_to(compatible_url(call), call, openai.body_of(call))


def sign(request: Request, call: Call) -> Request:
    """A gateway that lets in only who has a token of its own wants it beside the vendor's key."""
    if token := call.config.get("gateway_token"):
        request.headers["cf-aig-authorization"] = f"Bearer {token}"
    return bearer(request, call)


def models(call: Call) -> Request:
    return Request(f"{run.prefix(call)}/models/search?per_page=100&page={call.memo.get('page', 1)}", method="GET")


def names(reply: Reply, call: Call) -> list[str] | Request:
    if reply.status >= 400:
        raise run.fail(reply, call)
    page, found = run.result(reply), call.memo.setdefault("models", [])
    found += [model["name"] for model in page]
    call.memo["page"] = call.memo.get("page", 1) + 1
    return models(call) if len(page) == 100 else list(found)


TEXT = Protocol(run.build_text, run.parse_text, run.stream_text, "sse_sourced", fail=run.fail)
OWN = {
    "chat": TEXT,
    "completions": TEXT,
    "embeddings": Protocol(run.build_embeddings, run.parse_embeddings, fail=run.fail),
    "images": Protocol(run.build_image, run.parse_image, fail=run.fail),
    "rerank": Protocol(run.build_rerank, run.parse_rerank, fail=run.fail),
}
# Not native for chat: streams hold tokens that look like JSON as numbers.
CHAT = replace(
    adapted(body=reshaped(system_role, said_content), place=lambda request, call: replace(request, url=compatible_url(call))),
    fail=run.fail, native=False,
)  # fmt: skip
EMBEDDINGS = batched(Protocol(build_compatible, openai.parse, openai.stream, native=True, fail=run.fail), run.TEXTS)
NATIVE = Vendor(
    37, "cloudflare", "Cloudflare Workers AI", "https://api.cloudflare.com", OWN, sign=sign, prefer_compatible=True,
    fields=(
        Field("user_id", str, "", "Account ID", "From the dashboard's address. Not needed when the base URL is a gateway."),
        Field("gateway_token", str, "", "Gateway token", "For an authenticated AI Gateway only.", secret=True),
    ),
    key_label="API token", model_list=ModelList(models, names), owned_by="cloudflare",
    documents="https://developers.cloudflare.com/workers-ai/",
)  # fmt: skip
VENDORS = (
    replace(
        NATIVE,
        compatible=replace(
            NATIVE,
            slug="cloudflare-openai",
            name="Cloudflare Workers AI (OpenAI)",
            protocols=OWN | {"chat": CHAT, "embeddings": EMBEDDINGS},
        ),
    ),
)
