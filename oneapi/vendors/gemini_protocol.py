"""Answers and streams of Gemini's generateContent, wherever Gemini is served. No row lives here.

https://ai.google.dev/api/generate-content
"""

from collections.abc import Iterable, Iterator
from typing import Any

from oneapi.vendors import endings, logprobs, reports, shapes, usages
from oneapi.vendors.gemini_pieces import Pieces, tokens, whole
from oneapi.vendors.google_errors import fault
from oneapi.wire import Call, Event, Reply, VendorError

Json = dict[str, Any]

FILTERED = (
    "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION", "MODEL_ARMOR", "ESCALATION",
)  # fmt: skip
UNFINISHED = (None, "", "FINISH_REASON_UNSPECIFIED")
FINISH = {"STOP": "stop", "MAX_TOKENS": "length"} | dict.fromkeys(FILTERED, "content_filter")
# The model failed. https://ai.google.dev/api/generate-content#FinishReason
ABORTS = frozenset({
    "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE",
    "OTHER", "LANGUAGE", "NO_IMAGE", "IMAGE_OTHER",
})  # fmt: skip


def parse(reply: Reply, call: Call) -> Json:
    answer = reply.json()
    if answer.get("error"):
        raise fault(answer["error"])
    if not answer.get("candidates") and not blocked(answer):
        raise VendorError("garbled", "The vendor's answer has no candidates.", status=reply.status)
    used = usages.gemini(told) if (told := usages.gemini_grounded(answer, call.model)) else None
    out = shapes.completion(call, {"content": ""}, "content_filter", used, id=_id(answer, call))
    if candidates := answer.get("candidates"):
        out["choices"] = _choices(candidates, call)
    return out


def blocked(answer: Json) -> bool:
    return bool((answer.get("promptFeedback") or {}).get("blockReason"))


def _id(answer: Json, call: Call) -> str:
    return f"chatcmpl-{answer.get('responseId') or call.id}"


def _choices(candidates: list[Json], call: Call) -> list[Json]:
    """The candidates as choices; those the model failed at are left out, and raise when there is no other."""
    found, failed = [], None
    for number, candidate in enumerate(candidates):
        try:
            found.append(_choice(number, candidate, call))
        except VendorError as error:
            failed = failed or error
    if failed and not found:
        raise failed
    return found


def _choice(number: int, candidate: Json, call: Call) -> Json:
    pieces = Pieces(call, number)
    message: Json = {"role": "assistant", "content": None}
    for delta in pieces.of(candidate):
        whole(message, delta)
    reason = _finish(pieces, candidate.get("finishReason"), candidate.get("finishMessage"))
    if message["content"] is None and "tool_calls" not in message:
        message["content"] = ""
    choice: Json = {"index": number, "message": message, "logprobs": None, "finish_reason": reason}
    logprobs.marked(choice, tokens(candidate))
    return choice


def _finish(pieces: Pieces, reason: str | None, message: Any) -> str:
    """OpenAI's reason; STOP may come in a chunk of its own, long after the calls it ends."""
    return endings.finish(FINISH, reason, called=pieces.calls > 0, usable=pieces.usable, aborts=ABORTS, message=message)


def stream(events: Iterable[Event], call: Call) -> Iterator[Json]:
    id = ""
    told: Json = {}
    known: dict[int, Pieces] = {}
    reasons: dict[int, str] = {}
    for data in shapes.objects(events):
        if data.get("error"):
            raise fault(data["error"])
        if not id:
            id = _id(data, call)
            yield shapes.chunk(call, {"role": "assistant", "content": ""}, id=id)
        told = reports.gather(call, told, usages.gemini_grounded(data, call.model), usages.gemini)
        if blocked(data):
            reasons.setdefault(0, "SAFETY")
        for place, candidate in enumerate(data.get("candidates") or ()):
            index, reason = candidate.get("index"), candidate.get("finishReason")
            number = place if index is None else index
            pieces = known.setdefault(number, Pieces(call, number))
            yield from _said(candidate, pieces, id)
            if reason in ABORTS:
                raise endings.aborted(reason, candidate.get("finishMessage"))
            if reason not in UNFINISHED:
                reasons[number] = reason
    if not reasons or any(number not in reasons for number in known):
        raise VendorError("garbled", "The vendor's stream ended before the answer did.")
    for number, reason in sorted(reasons.items()):
        finish = _finish(known.get(number, Pieces(call, number)), reason, None)
        yield _chunk(call, {}, finish, id, number)
    if told:
        yield shapes.usage_chunk(call, usages.gemini(told), id=id)


def _said(candidate: Json, pieces: Pieces, id: str) -> Iterator[Json]:
    """The chunks of one candidate; its log probabilities travel on the first that holds text."""
    deltas, marks = list(pieces.of(candidate)), tokens(candidate)
    if marks and not any("content" in delta for delta in deltas):
        deltas.insert(0, {"content": ""})
    for delta in deltas:
        chunk = _chunk(pieces.call, delta, None, id, pieces.number)
        if marks and "content" in delta:
            logprobs.marked(chunk["choices"][0], marks)
            marks = []
        yield chunk


def _chunk(call: Call, delta: Json, finish: str | None, id: str, number: int) -> Json:
    piece = shapes.chunk(call, delta, finish, id=id)
    piece["choices"][0]["index"] = number
    return piece
