"""Tool calls of answers and streams in OpenAI's shape, whatever numbers, ids and types a provider gives them.

https://platform.openai.com/docs/api-reference/chat-streaming: a piece belongs to the call of its `index`, and only the first
piece of a call has `id`, `type` and `function.name`; clients join texts that come twice.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from oneapi.vendors import asks

Json = dict[str, Any]


def whole(tools: list[Json], prefix: str) -> bool:
    """Complete the calls of a whole answer in place; return True if anything changed. `prefix` begins ids of our own."""
    changed = False
    for number, tool in enumerate(tools):
        function = tool.get("function")
        if not tool.get("id") or not isinstance(tool["id"], str):
            tool["id"], changed = f"{prefix}_{number}", True
        if not tool.get("type"):
            tool["type"], changed = "function", True
        if isinstance(function, dict) and not isinstance(function.get("arguments"), str):
            function["arguments"], changed = text_of(function.get("arguments"), "{}"), True
    return changed


def text_of(arguments: Any, absent: str = "") -> str:
    """Return the arguments of a call as JSON text."""
    if isinstance(arguments, str):
        return arguments
    return absent if arguments is None else asks.compact(arguments)


@dataclass(slots=True)
class Made:
    """One call of a stream: its number for the client, and what the provider said of it so far."""

    number: int
    index: Any  # the provider's number of it
    id: str  # the provider's id, or ""
    name: str
    arguments: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Return True once the arguments are a JSON object."""
        try:
            return isinstance(json.loads("".join(self.arguments)), dict)
        except ValueError:
            return False


class Pieces:
    """The tool calls of one choice of a stream."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._made: list[Made] = []

    def __bool__(self) -> bool:
        return bool(self._made)

    def correct(self, tool: Json) -> bool:
        """Correct a piece in place: number, id, type, name and arguments. Return True if anything changed."""
        function = tool.get("function")
        custom = tool.get("custom")
        said = function if isinstance(function, dict) else custom if isinstance(custom, dict) else {}
        before = {**tool, "function": dict(function) if isinstance(function, dict) else function}
        if "arguments" in said:
            said["arguments"] = text_of(said["arguments"])
        id, name, text = tool.get("id"), said.get("name"), said.get("arguments") or ""
        id, name = id if isinstance(id, str) else "", name if isinstance(name, str) else ""
        call = self._of(tool.get("index"), id, name, text)
        if call is None:
            call = Made(len(self._made), tool.get("index"), id, name)
            self._made.append(call)
            self._first(tool, call)
        else:
            self._later(tool, said, call, name)
        call.arguments.append(text)
        if tool.get("index") != call.number or type(tool["index"]) is not int:
            tool["index"] = call.number
        return tool != before or type(before.get("index")) is not int

    def _of(self, index: Any, id: str, name: str, text: str) -> Made | None:
        """Return the call that a piece goes on with; None for the first piece of a new call."""
        by_id = next((made for made in self._made if made.id == id), None) if id else None
        if by_id is not None:
            other = index is not None and by_id.index is not None and index != by_id.index
            return None if other and name and not self._at(index) else (self._at(index) or by_id) if other else by_id
        found = self._at(index) if index is not None else None
        if found is None and index is not None and (name or id or not self._made):
            return None
        found = found or (self._made[-1] if self._made else None)
        if found is None:
            return None
        if id:  # one that is new: of another call, unless this one began without
            begun = bool("".join(found.arguments)) and not found.complete
            return found if not name and (not found.id or begun) else None
        return None if name and self._again(found, name, text) else found

    @staticmethod
    def _again(found: Made, name: str, text: str) -> bool:
        """Return True if a name without an id begins another call: after complete arguments, or as another function's."""
        if not "".join(found.arguments):  # a provider that gives ids gives each call one: this is the rest of the name
            return bool(found.name) and not found.id and name != found.name
        return found.complete and (bool(text) or name != found.name)

    def _at(self, index: Any) -> Made | None:
        """Return the latest call with this number of the provider's."""
        return next((made for made in reversed(self._made) if made.index == index), None)

    def _first(self, tool: Json, call: Made) -> None:
        taken = any(made.id == call.id for made in self._made[:-1])
        if not call.id or taken:
            tool["id"] = f"{self._prefix}_{call.number}"
        tool["type"] = tool.get("type") or "function"
        if tool["type"] == "function":
            function = tool["function"] = tool.get("function") or {}
            function["name"] = call.name
            function.setdefault("arguments", "")

    @staticmethod
    def _later(tool: Json, said: Json, call: Made, name: str) -> None:
        """Only the first piece says which call it is; a name that was empty or cut there may follow, before the arguments."""
        for key in ("id", "type"):
            tool.pop(key, None)
        rest = "" if "".join(call.arguments) and call.name else name.removeprefix(call.name)
        if rest:
            said["name"] = rest
        else:
            said.pop("name", None)
        call.name += rest
