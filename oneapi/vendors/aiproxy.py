"""AI Proxy's knowledge library: one question in, an answer with the documents it rests on out. History is not sent."""

from collections.abc import Iterable, Iterator
from typing import Any

from oneapi.fields import Field
from oneapi.vendors import pieces, shapes
from oneapi.vendors.contract import STATUS_KINDS, Protocol, Vendor
from oneapi.wire import Call, Event, Reply, Request, VendorError

Json = dict[str, Any]


def build(call: Call) -> Request:
    question = pieces.plain_text(call.body["messages"][-1], "The library")
    out = {"model": call.model, "query": question, "libraryId": call.config.get("library_id", ""), "stream": call.streaming}
    return Request(call.base_url + "/api/library/ask", out)


def sources(documents: list[Json] | None) -> str:
    """The documents as a list in Markdown, to follow the answer; nothing when there are none."""
    rows = [f"{number}. [{item['title']}]({item['url']})" for number, item in enumerate(documents or (), 1)]
    return "\n\nReferences:\n\n" + "\n".join(rows) if rows else ""


def check(answer: Json) -> Json:
    """The service says what is wrong under HTTP 200, in codes that are HTTP's."""
    if code := answer.get("errCode"):
        raise VendorError(STATUS_KINDS.get(code, "server"), answer.get("message") or f"error {code}", status=200, code=str(code))
    if answer.get("success") is False:
        raise VendorError("server", answer.get("message") or "The library gives no answer.", status=200)
    return answer


def parse(reply: Reply, call: Call) -> Json:
    answer = check(reply.json())
    return shapes.completion(call, {"content": answer["answer"] + sources(answer.get("documents"))}, "stop", None)


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    yield shapes.chunk(call, {"role": "assistant", "content": ""})
    for data in shapes.objects(events):
        check(data)
        if data["content"]:
            yield shapes.chunk(call, {"content": data["content"]})
        if data["finish"]:
            if found := sources(data.get("documents")):
                yield shapes.chunk(call, {"content": found})
            yield shapes.chunk(call, {}, "stop")
            yield shapes.usage_chunk(call, shapes.usage())  # never told: the meter counts
            return
    raise VendorError("garbled", "The vendor's stream ended before the answer did.")


VENDORS = (
    Vendor(
        21, "aiproxy-library", "AI Proxy knowledge library", "https://api.aiproxy.io",
        protocols={"chat": Protocol(build, parse, stream)},
        fields=(
            Field("library_id", str, "", "Library ID", "Only the last message is asked: the library knows no conversation."),
        ),
        owned_by="aiproxy",
    ),
)  # fmt: skip
