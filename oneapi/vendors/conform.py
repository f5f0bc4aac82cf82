"""Correct answers and streams to the shapes of OpenAI's API, which its clients rely on.

Rows that speak OpenAI's protocol and protocols of other forms share this: what comes out of any row has OpenAI's finish reasons,
one role, text as content, and whole tool calls. https://platform.openai.com/docs/api-reference/chat/object
"""

from typing import Any

from oneapi.vendors import asks, calls, errors, shapes
from oneapi.wire import Call

Json = dict[str, Any]

FINISH = ("stop", "length", "tool_calls", "content_filter", "function_call")
# Other words for them, in lower case. What is not listed means that the model came to its end.
WORDS = {
    "length": ("max_tokens", "max_output_tokens", "model_length", "token_limit", "max_length", "limit", "truncated", "incomplete",
               "model_context_window_exceeded", "insufficient_system_resource", "abort", "aborted", "cancelled", "timeout"),
    "tool_calls": ("tool_use", "tool_call", "tool", "tools", "function_calls", "call"),
    "content_filter": ("safety", "sensitive", "recitation", "blocklist", "prohibited_content", "spii", "image_safety", "refusal",
                       "content_filtered", "guardrail_intervened", "censored", "moderation", "filtered"),
}  # fmt: skip
MEANING = {word: reason for reason, words in WORDS.items() for word in words}
LISTED = ("annotations", "images")  # which a delta may hold besides tool calls
CHOICES = ("chat", "completions")


def answer(found: Json, call: Call) -> bool:
    """Correct a whole answer in place; return True if anything changed."""
    if call.kind == "embeddings":
        return _vectors(found, call)
    if call.kind not in CHOICES or not isinstance(found.get("choices"), list):
        return False
    chat = call.kind == "chat"
    changed = chat and _head(found, call, "chat.completion")
    for number, choice in enumerate(found["choices"]):
        called = False
        if chat:
            changed |= "index" not in choice
            choice.setdefault("index", number)
            message = choice["message"]
            changed |= _message(message, call, number)
            called = bool(message.get("tool_calls"))
        elif "finish_reason" not in choice:
            continue
        reason = finish(choice.get("finish_reason"), called) or ("tool_calls" if called else "stop")
        if choice.get("finish_reason") != reason:
            choice["finish_reason"], changed = reason, True
    return changed


def finish(reason: Any, called: bool) -> str | None:
    """Return a finish reason in OpenAI's words; None where nothing is said. A choice that called tools does not just stop."""
    if reason in FINISH:
        found = reason
    elif not reason or str(reason).lower() in errors.FAILED:
        return reason or None
    else:
        word = str(reason).lower()
        if word in ("null", "none"):
            return None
        found = word if word in FINISH else MEANING.get(word, "stop")
    return "tool_calls" if called and found == "stop" else found


def _head(found: Json, call: Call, kind: str, id: str = "") -> bool:
    """Fill in what every answer and chunk has."""
    changed = found.get("object") != kind
    if changed:
        found["object"] = kind
    if not found.get("id"):
        found["id"], changed = id or f"chatcmpl-{call.id}", True
    if found.get("created") is None:
        found["created"], changed = int(call.now), True
    if not found.get("model"):
        found["model"], changed = call.asked or call.model, True
    return changed


def _message(message: Json, call: Call, number: int) -> bool:
    changed = message.get("role") != "assistant"
    message["role"] = "assistant"
    changed |= _content(message)
    tools = message.get("tool_calls")
    if isinstance(tools, dict):
        tools, changed = [tools], True
        message["tool_calls"] = tools
    if tools and not all(isinstance(tool, dict) for tool in tools):
        tools, changed = [tool for tool in tools if isinstance(tool, dict)], True
        message["tool_calls"] = tools
    if tools:
        changed |= calls.whole(tools, f"call_{call.id}_{number}")
    return changed


def _content(message: Json) -> bool:
    """Content is text: of parts their text, of a number, an object or a truth value what stands for it in JSON."""
    content = message.get("content")
    if content is None or isinstance(content, str):
        return False
    parts = isinstance(content, list) and all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in content)
    message["content"] = shapes.text_of(content) if parts else asks.compact(content)
    return True


# -- streams


class Spoken:
    """What is known of one choice of a stream."""

    __slots__ = ("begun", "text", "tools")

    def __init__(self, prefix: str) -> None:
        self.begun = False
        self.text: list[str] = []
        self.tools = calls.Pieces(prefix)


class Chunks:
    """Corrects the chunks of one stream in place.

    `partly` says that only some chunks are shown, because the others were found to be right as bytes: then a role is missing
    only in the first one, and `said` tells that there was text.
    """

    def __init__(self, call: Call, *, partly: bool = False) -> None:
        self.call, self.partly, self.said = call, partly, False
        self.first = True
        self.id = ""
        self.spoken: dict[Any, Spoken] = {}
        self.counts: dict[tuple[Any, str], int] = {}

    def correct(self, chunk: Json) -> bool:
        """Return True if anything changed."""
        if "choices" not in chunk:
            return False
        changed = chunk["choices"] is None
        if changed:
            chunk["choices"] = []
        if self.call.kind == "chat":
            self.id = self.id or chunk.get("id") or ""
            changed |= _head(chunk, self.call, "chat.completion.chunk", self.id)
        for choice in chunk["choices"]:
            changed |= self._choice(choice)
        self.first = self.first and not chunk["choices"]
        return changed

    def _choice(self, choice: Json) -> bool:
        number = choice.setdefault("index", 0)
        spoken = self.spoken.get(number)
        if spoken is None:
            spoken = self.spoken[number] = Spoken(f"call_{self.call.id}_{number}")
        changed = self.call.kind == "chat" and self._delta(choice, spoken)
        reason = finish(choice.get("finish_reason"), bool(spoken.tools))
        if reason != choice.get("finish_reason"):
            choice["finish_reason"], changed = reason, True
        return changed

    def _delta(self, choice: Json, spoken: Spoken) -> bool:
        delta, changed = choice.get("delta"), False
        if not isinstance(delta, dict):
            delta, changed = {}, True
            choice["delta"] = delta
        if "message" in choice:
            changed |= self._whole(choice.pop("message"), delta, spoken)
        changed |= self._role(delta, spoken) | _content(delta) | self._tools(delta, spoken)
        if delta.get("content"):
            spoken.text.append(delta["content"])
        for name in LISTED:
            for item in delta[name] or () if name in delta else ():
                count = self.counts[choice["index"], name] = self.counts.get((choice["index"], name), -1) + 1
                item.setdefault("index", count)
        return changed

    def _whole(self, message: Any, delta: Json, spoken: Spoken) -> bool:
        """A whole message beside the delta repeats what was said; what it says for the first time is a delta."""
        message = dict(message) if isinstance(message, dict) else {}
        _content(message)
        text, before = message.pop("content", None) or "", "".join(spoken.text)
        if not (before or self.said or delta.get("content")):
            delta["content"] = text
        elif before and not self.partly and not delta.get("content") and len(text) > len(before) and text.startswith(before):
            delta["content"] = text[len(before) :]
        if message.get("tool_calls") and not spoken.tools and not delta.get("tool_calls"):
            delta["tool_calls"] = message["tool_calls"]
        if not (before or self.said or spoken.begun) and message.get("reasoning_content"):
            delta.setdefault("reasoning_content", message["reasoning_content"])
        return True

    def _role(self, delta: Json, spoken: Spoken) -> bool:
        """The first delta of a choice says who speaks, and no later one: clients join what comes twice."""
        begun, spoken.begun = spoken.begun, True
        if begun:
            return delta.pop("role", self) is not self
        if delta.get("role") == "assistant" or (self.partly and not self.first and "role" not in delta):
            return False
        delta["role"] = "assistant"
        return True

    def _tools(self, delta: Json, spoken: Spoken) -> bool:
        tools, changed = delta.get("tool_calls"), False
        if isinstance(tools, dict):
            tools, changed = [tools], True
            delta["tool_calls"] = tools
        if tools and not all(isinstance(tool, dict) for tool in tools):
            tools, changed = [tool for tool in tools if isinstance(tool, dict)], True
            delta["tool_calls"] = tools
        for tool in tools or ():
            changed |= spoken.tools.correct(tool)
        return changed


# -- embeddings


def _vectors(found: Json, call: Call) -> bool:
    """Embeddings come in the encoding that the client asked for; OpenAI's own library for Node always asks for base64."""
    other, changed = list if call.body.get("encoding_format") == "base64" else str, False
    for item in found.get("data") or ():
        if isinstance(item, dict) and isinstance(vector := item.get("embedding"), other):
            item["embedding"], changed = asks.vector(vector, call.body), True
    return changed
