"""A model's reasoning on its way to the client and back: a text for people, and a carrier of what only its vendor can check.

The carrier has two forms, since clients know the one or the other: `reasoning_details` as OpenRouter writes them
(https://openrouter.ai/docs/use-cases/reasoning-tokens) and `thinking_blocks` as Anthropic's API and LiteLLM do.
"""

from collections.abc import Iterator
from typing import Any

from oneapi.vendors import typed

Json = dict[str, Any]

# OpenRouter's names for the vendors whose signatures these are; they hold on every platform.
CLAUDE = "anthropic-claude-v1"
GEMINI = "google-gemini-v1"


def details(message: Json, format: str) -> list[Json]:
    """The reasoning a client hands back, as far as it is this vendor's: nobody else can check a signature."""
    listed = typed.objects_of(message, "reasoning_details", "messages[].")
    return [detail for detail in listed if detail.get("format", format) == format]


def handed_back(message: Json) -> Iterator[tuple[str, str, str]]:
    """Text and signature, or the sealed data, of each of Claude's thoughts that a client hands back in either form."""
    if blocks := typed.objects_of(message, "thinking_blocks", "messages[]."):
        told = [(block.get("thinking"), block.get("signature"), block.get("data")) for block in blocks]
    else:
        told = [(each.get("text"), each.get("signature"), each.get("data")) for each in details(message, CLAUDE)]
    return ((text or "", signature or "", data or "") for text, signature, data in told if signature or data)


def interrupted(turns: list[Json]) -> bool:
    """Return whether Claude must go on with a turn of its own that did not begin with thinking.

    That is a turn whose tool calls were answered, or one that ends the conversation. Claude before 4.6 refuses to think there;
    clients that keep OpenAI's fields alone hand back no thinking. A later step of a turn needs none when the first one has it.
    https://platform.claude.com/docs/en/build-with-claude/extended-thinking#toggling-thinking-modes-in-conversations
    """
    end = len(turns)
    while end and turns[end - 1]["role"] == "user":
        end -= 1
    start = end
    while start and turns[start - 1]["role"] in ("assistant", "tool"):
        start -= 1
    steps = [turn for turn in turns[start:end] if turn["role"] == "assistant"]
    goes_on = end == len(turns) or turns[end - 1]["role"] == "tool"
    return bool(steps) and goes_on and not any(True for step in (steps[0], steps[-1]) for _ in handed_back(step))


def keep(message: Json, text: str = "", signature: str = "", data: str = "") -> None:
    """Put one of Claude's thoughts into a whole answer."""
    listed = message.setdefault("reasoning_details", [])
    listed.append({**_detail(text, signature, data), "format": CLAUDE, "index": len(listed)})
    message.setdefault("thinking_blocks", []).append(_block(text, signature, data))


def _detail(text: str, signature: str, data: str) -> Json:
    if data:
        return {"type": "reasoning.encrypted", "data": data}
    return {"type": "reasoning.text"} | ({"text": text} if text else {}) | ({"signature": signature} if signature else {})


def _block(text: str, signature: str, data: str) -> Json:
    return {"type": "redacted_thinking", "data": data} if data else {"type": "thinking", "thinking": text, "signature": signature}


class Streamed:
    """Claude's thoughts in one stream, by the vendor's index of the block each of them is."""

    def __init__(self) -> None:
        self._told: dict[int, Json] = {}

    def delta(self, index: int, *, text: str = "", signature: str = "", data: str = "") -> Json:
        """A piece of a thought, as part of OpenAI's delta."""
        told = self._told.setdefault(index, {"number": len(self._told), "text": "", "signature": "", "data": ""})
        told["text"] += text
        told["signature"] += signature
        told["data"] += data
        return {"reasoning_details": [{**_detail(text, signature, data), "format": CLAUDE, "index": told["number"]}]}

    def piece(self, index: int, text: Any, signature: Any = "") -> Json | None:
        """Text, signature or both of a thought with the text for people beside them; None where there is neither."""
        if not (text or signature):
            return None
        told = self.delta(index, text=text or "", signature=signature or "")
        return {"reasoning_content": text, **told} if text else told

    def end(self, index: int) -> Json | None:
        """The whole thought, once its block is over and if it can be handed back."""
        told = self._told.pop(index, None)
        if told is None:
            return None
        self._told[-len(self._told) - 1] = told  # another block may have this index where a provider leaves indexes out
        if not (told["signature"] or told["data"]):
            return None
        block = _block(told["text"], told["signature"], told["data"])
        return {"thinking_blocks": [{"index": told["number"], **block}]}
