"""DeepL: the last message is translated into the language that the model's name ends with."""

from collections.abc import Iterable, Iterator
from typing import Any

from oneapi.vendors import asks, shapes
from oneapi.vendors.contract import Balance, ModelList, Protocol, Vendor, failure
from oneapi.vendors.signing import header
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]

FREE, PRO = "https://api-free.deepl.com", "https://api.deepl.com"
VARIANTS = {"EN": "EN-US", "PT": "PT-BR"}  # these two are no targets without a variant
STATUSES = {456: "quota"}  # https://developers.deepl.com/docs/best-practices/error-handling
PASSED = (
    "source_lang", "context", "split_sentences", "preserve_formatting", "formality", "glossary_id", "model_type", "tag_handling",
    "tag_handling_version", "outline_detection", "non_splitting_tags", "splitting_tags", "ignore_tags", "style_id",
    "custom_instructions",
)  # fmt: skip


def address(call: Call, path: str) -> str:
    """A free account's key ends with :fx and is known at the free host only; any other address is the channel's own wish."""
    ours = call.base_url in (FREE, PRO)
    return ((FREE if call.key.endswith(":fx") else PRO) if ours else call.base_url) + path


def texts(call: Call) -> list[str]:
    parts = asks.parts(call.body["messages"][-1]["content"])
    if odd := next((part for part in parts if part["type"] != "text"), None):
        raise asks.unsupported(odd)
    found = [part["text"] for part in parts]
    if not found:
        raise VendorError("bad_request", "There is no text to translate in the last message.")
    return found


def build(call: Call) -> Request:
    """https://developers.deepl.com/api-reference/translate"""
    language = call.model.partition("-")[2].upper() or "ZH"
    out = {"text": texts(call), "target_lang": VARIANTS.get(language, language)}
    return Request(
        address(call, "/v2/translate"), out | {name: call.body[name] for name in PASSED if call.body.get(name) is not None}
    )


def translated(answer: Json, call: Call) -> tuple[str, Json]:
    """The translation, and the characters of the original as what it costs."""
    rows = answer["translations"]
    if not rows:
        raise VendorError("garbled", "The vendor's answer holds no translation.", status=200)
    billed = [row.get("billed_characters") for row in rows]
    count = sum(billed) if all(isinstance(each, int) for each in billed) else sum(map(len, texts(call)))
    return "\n".join(row["text"] for row in rows), shapes.usage(count)


def parse(reply: Reply, call: Call) -> Json:
    text, used = translated(reply.json(), call)
    return shapes.completion(call, {"content": text}, "stop", used)


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    """DeepL does not stream: its whole answer is the only event there can be."""
    for data in shapes.objects(events):
        text, used = translated(data, call)
        yield shapes.chunk(call, {"role": "assistant", "content": ""})
        yield shapes.chunk(call, {"content": text})
        yield shapes.chunk(call, {}, "stop")
        yield shapes.usage_chunk(call, used)
        return
    raise VendorError("garbled", "The vendor's answer is empty.")


def fail(reply: Reply, call: Call) -> VendorError:
    error = failure(reply, call)
    error.kind = STATUSES.get(reply.status, error.kind)
    return error


def left(reply: Reply, call: Call) -> tuple[float, str]:
    """Characters of this month, which are no currency."""
    if reply.status >= 400:
        raise fail(reply, call)
    answer = reply.json()
    return float(answer["character_limit"] - answer["character_count"]), ""


def names(reply: Reply, call: Call) -> list[str]:
    if reply.status >= 400:
        raise fail(reply, call)
    return [f"deepl-{row['language']}" for row in reply.json()]


VENDORS = (
    Vendor(
        38, "deepl", "DeepL", FREE,
        protocols={"chat": Protocol(build, parse, stream, fail=fail)},
        sign=header("Authorization", "DeepL-Auth-Key "),
        balance=Balance(lambda call: Request(address(call, "/v2/usage"), method="GET"), left),
        model_list=ModelList(lambda call: Request(address(call, "/v2/languages?type=target"), method="GET"), names),
        key_label="Authentication key", owned_by="deepl", documents="https://developers.deepl.com/",
    ),
)  # fmt: skip
