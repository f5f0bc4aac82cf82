"""Together AI: OpenAI's protocol with a number of log probabilities, a switch for thinking, and images in pixels."""

from oneapi.vendors import balances, openai
from oneapi.vendors.contract import Protocol, Vendor, failure
from oneapi.vendors.quirks import Json, adapted, reasoning_name, reshaped, system_role
from oneapi.wire import Call, Reply, VendorError

STATUSES = {403: "too_long"}  # of a prompt, not of a key: https://docs.together.ai/docs/error-codes
REFUSED = ("quality", "style", "user", "background", "moderation", "output_compression", "size")


def own_words(body: Json, call: Call) -> Json:
    """https://docs.together.ai/reference/chat-completions-1: logprobs is a number, and thinking is switched, not wished away."""
    out = dict(body)
    if out.get("logprobs") is True:
        out["logprobs"] = out.get("top_logprobs") or 1
    elif out.get("logprobs") is False:
        del out["logprobs"]
    out.pop("top_logprobs", None)
    if out.get("reasoning_effort") == "none":
        del out["reasoning_effort"]
        out["reasoning"] = {"enabled": False}
    return out


def pixels(body: Json, call: Call) -> Json:
    """https://docs.together.ai/reference/post-images-generations"""
    out = {k: v for k, v in body.items() if k not in REFUSED}
    width, _, height = str(body.get("size") or "").partition("x")
    if width.isdecimal() and height.isdecimal():
        out |= {"width": int(width), "height": int(height)}
    return out | ({"response_format": "base64"} if body.get("response_format") == "b64_json" else {})


def fail(reply: Reply, call: Call) -> VendorError:
    error = failure(reply, call)
    error.kind = STATUSES.get(reply.status, error.kind)
    return error


PLAIN = Protocol(openai.build, openai.parse, openai.stream, native=True, fail=fail)

VENDORS = (
    Vendor(
        39, "together", "Together AI", "https://api.together.xyz",
        {
            **dict.fromkeys(openai.PATHS, PLAIN),
            "chat": adapted(reasoning_name, body=reshaped(system_role, own_words), fail=fail),
            "images": adapted(body=pixels, fail=fail),
        },
        rename={"max_completion_tokens": "max_tokens"}, model_list=balances.MODELS, owned_by="together.ai",
        offers=("chat", "completions", "embeddings", "images", "speech", "transcriptions", "translations", "rerank"),
        documents="https://docs.together.ai/reference/chat-completions-1",
    ),
)  # fmt: skip
