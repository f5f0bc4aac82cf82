"""The parts of Gemini's answers as OpenAI's deltas. No row lives here.

https://ai.google.dev/api/caching#Part
"""

from collections.abc import Iterator
from typing import Any

from oneapi.vendors import asks, logprobs, shapes, thoughts
from oneapi.wire import Call

Json = dict[str, Any]


class Pieces:
    """OpenAI's deltas from the parts of one candidate; keeps what must be known of earlier parts."""

    def __init__(self, call: Call, number: int):
        self.call, self.number, self.calls, self.details = call, number, 0, 0
        self.length = self.kept = 0  # characters of content, and parts that are not text, so far
        self.usable = False

    def of(self, candidate: Json) -> Iterator[Json]:
        for part in (candidate.get("content") or {}).get("parts") or ():
            yield from self._part(part)
        if notes := annotations(candidate.get("groundingMetadata")):
            yield {"annotations": notes}

    def _part(self, part: Json) -> Iterator[Json]:
        match part:
            case {"functionCall": called}:
                self.usable = True
                yield from self._call(called, part.get("thoughtSignature"))
                return
            case {"text": str(text), "thought": True}:
                yield {"reasoning_content": text}
            case {"text": str(text)}:
                if text:
                    self.usable, self.length = True, self.length + len(text)
                    yield {"content": text}
            case {"inlineData": {"mimeType": str(kind), "data": data}} if kind.startswith("image/"):
                self.usable = True
                yield {"images": [{"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}]}
            case dict() if part.keys() - {"thought", "thoughtSignature", "text"}:
                self.usable = self.usable or not part.keys().isdisjoint(("inlineData", "fileData"))
                yield self._keep(part)
                return
        if part.get("thoughtSignature"):
            detail = {"type": "reasoning.encrypted", "data": part["thoughtSignature"], "format": thoughts.GEMINI}
            yield {"reasoning_details": [detail | {"index": self.details}]}
            self.details += 1

    def _keep(self, part: Json) -> Json:
        """A part without a place in OpenAI's message, such as code that was run: as it is, and where in the text it stood."""
        kept = {"index": self.kept, "offset": self.length, **part}
        self.kept += 1
        return {"extra_content": {"google": {"parts": [kept]}}}

    def _call(self, called: Json, signature: str | None) -> Iterator[Json]:
        id = called.get("id") or f"call_{self.call.id}_{self.number}_{self.calls}"
        first = shapes.tool_call(id, called["name"], "", index=self.calls)
        if signature:  # Google's own shape: https://ai.google.dev/gemini-api/docs/thought-signatures#openai
            first["extra_content"] = {"google": {"thought_signature": signature}}
        yield {"tool_calls": [first]}
        yield {"tool_calls": [{"index": self.calls, "function": {"arguments": asks.compact(called.get("args") or {})}}]}
        self.calls += 1


def annotations(grounding: Any) -> list[Json]:
    chunks = (grounding or {}).get("groundingChunks") or ()
    pages = [chunk["web"] for chunk in chunks if (chunk.get("web") or {}).get("uri")]
    return [{"type": "url_citation", "url_citation": {"url": page["uri"], "title": page.get("title") or ""}} for page in pages]


def tokens(candidate: Json) -> list[Json]:
    """Return a candidate's log probabilities in OpenAI's form. https://ai.google.dev/api/generate-content#LogprobsResult"""
    told = candidate.get("logprobsResult") or {}
    chosen, others = told.get("chosenCandidates") or [], told.get("topCandidates") or []
    rows = [(row or {}).get("candidates") or [] for row in others] + [[]] * len(chosen)
    return [
        logprobs.token(
            one.get("token") or "",
            one.get("logProbability", 0.0),
            [logprobs.alternative(each.get("token") or "", each.get("logProbability", 0.0)) for each in row],
        )
        for one, row in zip(chosen, rows, strict=False)
    ]


def whole(message: Json, delta: Json) -> None:
    """Put a delta into a whole message."""
    for name, value in delta.items():
        if name == "tool_calls":
            _whole_calls(message.setdefault(name, []), value)
        elif name == "extra_content":
            kept = message.setdefault(name, {"google": {"parts": []}})["google"]["parts"]
            kept += [{k: v for k, v in part.items() if k != "index"} for part in value["google"]["parts"]]
        else:
            message[name] = value if message.get(name) is None else message[name] + value


def _whole_calls(calls: list[Json], deltas: list[Json]) -> None:
    for delta in deltas:
        if "id" in delta:
            calls.append({k: v for k, v in delta.items() if k != "index"})
        else:
            calls[-1]["function"]["arguments"] += delta["function"]["arguments"]
