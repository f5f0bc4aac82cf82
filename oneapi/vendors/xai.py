"""xAI: OpenAI's protocol whose errors are told in words, and which leaves thoughts out of the tokens it counts."""

from oneapi.vendors import balances, openai
from oneapi.vendors.contract import Protocol, Vendor, failure
from oneapi.vendors.quirks import adapted, reasoning_counted
from oneapi.wire import Call, Reply, VendorError

# A wrong key comes under 400, a filtered prompt under 403. https://docs.x.ai/docs/key-information/debugging
WORDS = {
    "Incorrect API key": "auth", "violates usage guidelines": "content_filter", "maximum prompt length": "too_long",
    "used all available credits": "quota", "reached its monthly spending limit": "quota", "lacks credits": "quota",
}  # fmt: skip


def fail(reply: Reply, call: Call) -> VendorError:
    error = failure(reply, call)
    error.kind = next((kind for words, kind in WORDS.items() if words in error.message), error.kind)
    return error


PLAIN = Protocol(openai.build, openai.parse, openai.stream, native=True, fail=fail)

VENDORS = (
    Vendor(
        45, "xai", "xAI", "https://api.x.ai",
        {**dict.fromkeys(openai.PATHS, PLAIN), "chat": adapted(reasoning_counted, fail=fail)},
        drop=("quality", "size", "style", "logit_bias"), model_list=balances.MODELS, owned_by="xai",
        offers=("chat", "completions", "images"),
        documents="https://docs.x.ai/docs/api-reference",
    ),
)  # fmt: skip
