"""Volcengine Ark (Doubao, Seedream): OpenAI's protocol under /api/v3 with codes, pictures and seeing embeddings of its own."""

from dataclasses import replace

from oneapi.vendors import asks, balances, openai, pieces, shapes
from oneapi.vendors.contract import Protocol, Vendor
from oneapi.vendors.quirks import Json, adapted, system_role
from oneapi.vendors.refusals import failing, faulty
from oneapi.wire import Call, Reply, Request, VendorError

# https://www.volcengine.com/docs/82379/1299023. What is exhausted for one model (QuotaExceeded, SetLimitExceeded) leaves the
# others working, so that the channel only rests.
CODES = {
    "MissingParameter": "bad_request", "InvalidParameter": "bad_request", "InvalidImageURL": "bad_request",
    "InvalidEndpoint": "no_model", "InvalidEndpointOrModel": "no_model", "ModelNotOpen": "no_model",
    "UnsupportedModel": "no_model", "NotFound": "no_model", "SensitiveContentDetected": "content_filter",
    "InputTextSensitiveContentDetected": "content_filter", "InputImageSensitiveContentDetected": "content_filter",
    "OutputTextSensitiveContentDetected": "content_filter", "OutputImageSensitiveContentDetected": "content_filter",
    "AuthenticationError": "auth", "AccessDenied": "auth", "OperationDenied": "auth", "InvalidAccountStatus": "auth",
    "AccountOverdueError": "quota", "InvalidSubscription": "quota", "QuotaExceeded": "rate_limited",
    "SetLimitExceeded": "rate_limited", "RateLimitExceeded": "rate_limited", "ModelAccountRpmRateLimitExceeded": "rate_limited",
    "ModelAccountTpmRateLimitExceeded": "rate_limited", "ModelAccountIpmRateLimitExceeded": "rate_limited",
    "AccountRateLimitExceeded": "rate_limited", "RequestBurstTooFast": "rate_limited", "ServerOverloaded": "overloaded",
    "InternalServiceError": "server",
}  # fmt: skip
fail = failing(CODES)
trouble = faulty(CODES)
KINDS = ("chat", "embeddings", "images", "image_edits")
IMAGES = "/api/v3/images/generations"
# What only OpenAI's own pictures know.
NOT_THEIRS = ("n", "quality", "style", "user", "background", "moderation", "output_compression", "input_fidelity")


# Pictures. https://www.volcengine.com/docs/82379/1541523


def picture_body(body: Json, call: Call) -> Json:
    """Several pictures are a sequence there, whose greatest length is what OpenAI calls n."""
    sent = {k: v for k, v in body.items() if k not in NOT_THEIRS}
    if sent.get("size") == "auto":
        del sent["size"]
    if isinstance(body.get("n"), int) and body["n"] > 1 and "sequential_image_generation" not in body:
        sent |= {"sequential_image_generation": "auto", "sequential_image_generation_options": {"max_images": body["n"]}}
    if given := [pieces.as_data_url(file) for file in call.files if file.name in ("image", "image[]")]:
        sent["image"] = given if len(given) > 1 else given[0]
    return sent


def build_edit(call: Call) -> Request:
    """A picture with words beside it becomes another one at the same address, as JSON."""
    if any(file.name == "mask" for file in call.files):
        raise VendorError("bad_request", "This vendor edits pictures by words alone, without a mask.", param="mask")
    made = PICTURES.build(replace(call, kind="images", files=()))
    return replace(made, body=picture_body(call.body, call))


# Embeddings: models that see put everything they are given into one vector. https://www.volcengine.com/docs/82379/1523520


def sees(call: Call) -> bool:
    return "vision" in call.model or isinstance(call.body.get("input"), list) and isinstance(call.body["input"][0], dict)


def build_embeddings(call: Call) -> Request:
    if not sees(call):
        return TEXTS.build(call)
    given = call.body["input"]
    parts = [{"type": "text", "text": item} if isinstance(item, str) else item for item in asks.parts(given)]
    if isinstance(given, list) and sum(part["type"] == "text" for part in parts) > 1:
        raise VendorError("bad_request", "This model embeds one text at a time, with pictures beside it.", param="input")
    request = TEXTS.build(replace(call, body=call.body | {"input": parts}))
    return replace(request, url=request.url + "/multimodal")


def parse_embeddings(reply: Reply, call: Call) -> Json | Reply | Request:
    if not sees(call):
        return TEXTS.parse(reply, call)
    answer = reply.json()
    trouble(answer, call, {})
    used = answer.get("usage") or {}
    tokens = shapes.usage(used.get("prompt_tokens") or used.get("total_tokens") or 0)
    return shapes.embeddings(call, [answer["data"]["embedding"]], tokens)


TEXTS = adapted(codes=CODES)
PICTURES = adapted(body=picture_body, codes=CODES)
VENDORS = (
    Vendor(
        40, "doubao", "Volcengine Ark (Doubao)", "https://ark.cn-beijing.volces.com",
        {
            "chat": adapted(body=system_role, codes=CODES),
            "embeddings": Protocol(build_embeddings, parse_embeddings, fail=fail),
            "images": PICTURES,
            "image_edits": replace(PICTURES, build=build_edit),
        },
        {kind: IMAGES if kind == "image_edits" else "/api/v3" + openai.PATHS[kind].removeprefix("/v1") for kind in KINDS},
        model_list=balances.models("/api/v3/models"), owned_by="doubao", documents="https://www.volcengine.com/docs/82379/1298454",
    ),
)  # fmt: skip
