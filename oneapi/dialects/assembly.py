"""Puts the chunks of a stream together into the whole answer that they are pieces of: the opposite of openai.as_chunks."""

from collections.abc import Iterable
from typing import Any

from oneapi.vendors import reports

Json = dict[str, Any]

OBJECTS = {"chat": "chat.completion", "completions": "text_completion"}
ONCE = ("role", "id", "type", "name", "format", "signature", "expires_at")  # texts that are not pieces of a longer one


def answer(chunks: Iterable[Json], kind: str) -> Json | None:
    """Return the chat.completion or text_completion; None when there is no chunk."""
    head: Json = {}
    choices: dict[int, Json] = {}
    usage: Any = None
    for chunk in chunks:
        head = {k: v for k, v in chunk.items() if k not in ("choices", "usage", "object")} | head
        usage = reports.merged(usage, chunk.get("usage"))
        for piece in chunk.get("choices") or ():
            number = piece.get("index") or 0
            _gather(choices.setdefault(number, {"index": number, "finish_reason": None}), piece, kind)
    if not choices:
        return None
    found = [choices[number] for number in sorted(choices)]
    for choice in found if kind == "chat" else ():
        message = choice.setdefault("message", {})
        choice["message"] = {"role": "assistant", "content": None if message.get("tool_calls") else ""} | message
    whole: Json = {"object": OBJECTS[kind]} | head | {"choices": found}
    return whole | ({"usage": usage} if usage else {})


def _gather(choice: Json, piece: Json, kind: str) -> None:
    for name, value in piece.items():
        if name == "delta":
            _join(choice.setdefault("message", {}), value)
        elif name == "text" and isinstance(value, str):
            choice["text"] = choice.get("text", "") + value
        elif name == "logprobs" and isinstance(value, dict):
            _join(choice.setdefault("logprobs", {}), value)
        elif value not in (None, "") and name not in ("index", "usage"):
            choice[name] = value


def _join(whole: Json, delta: Any) -> None:
    """Append a delta: texts and lists grow, numbered items are joined with those of their number."""
    for name, value in (delta or {}).items():
        if value is None:
            whole.setdefault(name, None)
        elif isinstance(value, str):
            known = whole.get(name)
            whole[name] = value if name in ONCE or not isinstance(known, str) else known + value
        elif isinstance(value, dict):
            if not isinstance(whole.get(name), dict):
                whole[name] = {}
            _join(whole[name], value)
        elif isinstance(value, list):
            whole[name] = _items(whole.get(name) or [], value, numbered=name in ("tool_calls", "reasoning_details"))
        else:
            whole[name] = value


def _items(known: list[Any], more: list[Any], *, numbered: bool) -> list[Any]:
    """The items of both lists. Pieces of one tool call have its number, which a whole answer does not show."""
    for item in more:
        if not numbered or not isinstance(item, dict):
            known.append({k: v for k, v in item.items() if k != "index"} if isinstance(item, dict) else item)
            continue
        number = item.get("index") or 0
        while len(known) <= number:
            known.append({})
        _join(known[number], {k: v for k, v in item.items() if k != "index"})
    return known
