"""Answers and streams of Gemini's generateContent, wherever Gemini is served. No row lives here.

https://ai.google.dev/api/generate-content
"""

from collections.abc import Iterable, Iterator
from typing import Any

from oneapi.vendors import asks, reports, shapes, thoughts
from oneapi.vendors.google_errors import fault
from oneapi.wire import Call, Event, Reply, VendorError

Json = dict[str, Any]

FILTERED = (
    "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION", "MODEL_ARMOR",
)  # fmt: skip
UNFINISHED = (None, "", "FINISH_REASON_UNSPECIFIED")
FINISH = {"MAX_TOKENS": "length"} | dict.fromkeys(FILTERED, "content_filter")


def usage(told: Json) -> Json:
    """OpenAI's usage; the vendor counts thoughts beside the answer, and tool results beside the prompt."""
    prompt = (told.get("promptTokenCount") or 0) + (told.get("toolUsePromptTokenCount") or 0)
    thought = told.get("thoughtsTokenCount")
    spoken = (told.get("candidatesTokenCount") or 0) + (thought or 0)
    used = shapes.usage(prompt, spoken, cached=told.get("cachedContentTokenCount"), reasoning=thought)
    for side, details in (("prompt", told.get("promptTokensDetails")), ("completion", told.get("candidatesTokensDetails"))):
        for detail in details or ():
            name = {"AUDIO": "audio_tokens", "IMAGE": "image_tokens"}.get(detail.get("modality"))
            if name and detail.get("tokenCount"):
                used.setdefault(f"{side}_tokens_details", {})[name] = detail["tokenCount"]
    return used


def parse(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    if answer.get("error"):
        raise fault(answer["error"])
    if not answer.get("candidates") and not blocked(answer):
        raise VendorError("garbled", "The vendor's answer has no candidates.", status=reply.status)
    used = usage(answer["usageMetadata"]) if answer.get("usageMetadata") else None
    out = shapes.completion(call, {"content": ""}, "content_filter", used, id=_id(answer, call))
    if choices := [_choice(number, candidate, call) for number, candidate in enumerate(answer.get("candidates") or ())]:
        out["choices"] = choices
    return out


def blocked(answer: Json) -> bool:
    return bool((answer.get("promptFeedback") or {}).get("blockReason"))


def _id(answer: Json, call: Call) -> str:
    return f"chatcmpl-{answer.get('responseId') or call.id}"


def _choice(number: int, candidate: Json, call: Call) -> Json:
    pieces = _Pieces(call, number)
    message: Json = {"role": "assistant", "content": None}
    for delta in pieces.of(candidate):
        for name, value in delta.items():
            if name == "tool_calls":
                _whole_calls(message.setdefault(name, []), value)
            else:
                message[name] = value if message.get(name) is None else message[name] + value
    if message["content"] is None and "tool_calls" not in message:
        message["content"] = ""
    return {"index": number, "message": message, "logprobs": None, "finish_reason": pieces.finish(candidate.get("finishReason"))}


def _whole_calls(calls: list[Json], deltas: list[Json]) -> None:
    for delta in deltas:
        if "id" in delta:
            calls.append({k: v for k, v in delta.items() if k != "index"})
        else:
            calls[-1]["function"]["arguments"] += delta["function"]["arguments"]


class _Pieces:
    """OpenAI's deltas from the parts of one candidate; what must be known of earlier parts stands here."""

    def __init__(self, call: Call, number: int):
        self.call, self.number, self.calls, self.details = call, number, 0, 0

    def of(self, candidate: Json) -> Iterator[Json]:
        for part in (candidate.get("content") or {}).get("parts") or ():
            yield from self._part(part)
        if notes := _annotations(candidate.get("groundingMetadata")):
            yield {"annotations": notes}

    def _part(self, part: Json) -> Iterator[Json]:
        match part:
            case {"functionCall": called}:
                yield from self._call(called, part.get("thoughtSignature"))
                return
            case {"text": str(text), "thought": True}:
                yield {"reasoning_content": text}
            case {"text": str(text)} if text:
                yield {"content": text}
            case {"inlineData": {"mimeType": str(kind), "data": data}} if kind.startswith("image/"):
                yield {"images": [{"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}]}
            case {"executableCode": {"code": code}}:
                yield {"content": f"\n```{str(part['executableCode'].get('language') or '').lower()}\n{code}\n```\n"}
            case {"codeExecutionResult": {"output": output}}:
                yield {"content": f"\n```\n{output}\n```\n"}
        if part.get("thoughtSignature"):
            detail = {"type": "reasoning.encrypted", "data": part["thoughtSignature"], "format": thoughts.GEMINI}
            yield {"reasoning_details": [detail | {"index": self.details}]}
            self.details += 1

    def _call(self, called: Json, signature: str | None) -> Iterator[Json]:
        id = called.get("id") or f"call_{self.call.id}_{self.number}_{self.calls}"
        first = shapes.tool_call(id, called["name"], "", index=self.calls)
        if signature:  # Google's own shape: https://ai.google.dev/gemini-api/docs/thought-signatures#openai
            first["extra_content"] = {"google": {"thought_signature": signature}}
        yield {"tool_calls": [first]}
        yield {"tool_calls": [{"index": self.calls, "function": {"arguments": asks.compact(called.get("args") or {})}}]}
        self.calls += 1

    def finish(self, reason: str | None) -> str:
        """OpenAI's reason; STOP may come in a chunk of its own, long after the calls it ends."""
        return FINISH.get(str(reason)) or ("tool_calls" if self.calls else "stop")


def _annotations(grounding: Any) -> list[Json]:
    chunks = (grounding or {}).get("groundingChunks") or ()
    pages = [chunk["web"] for chunk in chunks if (chunk.get("web") or {}).get("uri")]
    return [{"type": "url_citation", "url_citation": {"url": page["uri"], "title": page.get("title") or ""}} for page in pages]


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    id = ""
    told: Json = {}
    pieces: dict[int, _Pieces] = {}
    reasons: dict[int, str] = {}
    for data in shapes.objects(events):
        if data.get("error"):
            raise fault(data["error"])
        if not id:
            id = _id(data, call)
            yield shapes.chunk(call, {"role": "assistant", "content": ""}, id=id)
        told = reports.gather(call, told, data.get("usageMetadata"), usage)
        if blocked(data):
            reasons.setdefault(0, "SAFETY")
        for candidate in data.get("candidates") or ():
            number = candidate.get("index", 0)
            known = pieces.setdefault(number, _Pieces(call, number))
            for delta in known.of(candidate):
                yield _chunk(call, delta, None, id, number)
            if candidate.get("finishReason") not in UNFINISHED:
                reasons[number] = candidate["finishReason"]
    if not reasons or any(number not in reasons for number in pieces):
        raise VendorError("garbled", "The vendor's stream ended before the answer did.")
    for number, reason in sorted(reasons.items()):
        finish = pieces.get(number, _Pieces(call, number)).finish(reason)
        yield _chunk(call, {}, finish, id, number)
    if told:
        yield shapes.usage_chunk(call, usage(told), id=id)


def _chunk(call: Call, delta: Json, finish: str | None, id: str, number: int) -> Json:
    piece = shapes.chunk(call, delta, finish, id=id)
    piece["choices"][0]["index"] = number
    return piece
