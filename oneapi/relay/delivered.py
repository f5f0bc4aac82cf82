"""What an answer delivered: its texts, for our own count, and whether there was more than text."""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

TEXTS = ("reasoning_content", "reasoning", "content", "text", "refusal")
# What accompanies text in a delta. Anything else that is not empty is media: sound, images, and what providers may invent.
ACCOMPANYING = frozenset({
    *TEXTS, "role", "name", "tool_calls", "function_call", "reasoning_details", "thinking_blocks", "annotations", "citations",
    "extra_content", "provider_specific_fields", "tool_call_id", "signature", "index", "finish_reason", "logprobs",
})  # fmt: skip
EMPTY: tuple[Any, ...] = (None, "", False, 0, [], {})


def text_of(answer: Json) -> str:
    """Return all text of a whole answer, reasoning and tool arguments included."""
    return "".join(part for choice in answer.get("choices") or () if isinstance(choice, dict) for part in texts(choice))


def texts(choice: Json) -> Iterator[str]:
    """Return the texts of a choice, its message or its delta."""
    message = choice.get("message") or choice.get("delta") or choice
    if not isinstance(message, dict):
        return
    for name in TEXTS:
        value = message.get(name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (part["text"] for part in value if isinstance(part, dict) and isinstance(part.get("text"), str))
    sound = message.get("audio")
    if isinstance(sound, dict) and isinstance(sound.get("transcript"), str):
        yield sound["transcript"]
    tools = message.get("tool_calls")
    for tool in (*(tools if isinstance(tools, list) else ()), {"function": message.get("function_call")}):
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict):
            yield str(function.get("name") or "") + str(function.get("arguments") or "")


def beyond_role(choice: Json) -> bool:
    """Return whether a choice of a stream delivers anything but a role."""
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return bool(choice.get("text"))
    return any(value not in EMPTY for name, value in delta.items() if name != "role")


def media(choice: Json) -> bool:
    """Return whether a choice of a stream delivers what we cannot count, such as sound or images."""
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return False
    content = delta.get("content")
    if isinstance(content, list) and any(isinstance(part, dict) and "text" not in part for part in content):
        return True
    return any(value not in EMPTY for name, value in delta.items() if name not in ACCOMPANYING)


def transcript(document: str) -> str:
    """Return the words of a transcript; of srt and vtt the lines below each time."""
    lines = document.splitlines()
    if any("-->" in line for line in lines):
        return "\n".join(below for line, below in zip(lines, lines[1:], strict=False) if "-->" in line)
    return document
