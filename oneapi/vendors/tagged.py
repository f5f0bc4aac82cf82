"""Thoughts that a model writes into its answer between tags, put where thoughts belong. No row lives here."""

from typing import Any

from oneapi.vendors.quirks import spoken
from oneapi.vendors.refusals import Mend
from oneapi.wire import Call

Json = dict[str, Any]


class Splitter:
    """Tells what is thought from what is said in a text that arrives in pieces, cut anywhere."""

    def __init__(self, opening: str, closing: str):
        self.opening, self.closing = opening, closing
        self.held, self.begun, self.over = "", False, False
        self.blank = False  # nothing but line ends came since the closing tag

    def feed(self, text: str) -> tuple[str, str]:
        """The thought and the said part of what is certain by now."""
        self.held += text
        if not self.begun and not self.over:
            if self.held.startswith(self.opening):
                self.held, self.begun = self.held[len(self.opening) :], True
            elif self.opening.startswith(self.held):
                return "", ""
            else:
                self.over = True
        if self.over:
            return "", self._said()
        thought, closed, said = self.held.partition(self.closing)
        if closed:
            self.held, self.over, self.blank = said, True, True
            return thought, self._said()
        open_end = next((size for size in range(len(self.closing) - 1, 0, -1) if self.held.endswith(self.closing[:size])), 0)
        return self._give(len(self.held) - open_end), ""

    def end(self) -> tuple[str, str]:
        """What was held back, when nothing more comes."""
        return (self._give(), "") if self.begun and not self.over else ("", self._give())

    def _said(self) -> str:
        self.held = self.held.lstrip("\n") if self.blank else self.held
        self.blank = self.blank and not self.held
        return self._give()

    def _give(self, size: int | None = None) -> str:
        size = len(self.held) if size is None else size
        given, self.held = self.held[:size], self.held[size:]
        return given


def apart(opening: str, closing: str) -> Mend:
    """What an answer says between these tags at its beginning becomes reasoning_content."""

    def mend(piece: Json, call: Call, memo: Json) -> None:
        for choice, message in spoken(piece):
            splitter = memo.setdefault(f"{opening}{choice.get('index', 0)}", Splitter(opening, closing))
            text, last = message.get("content"), "message" in choice or choice.get("finish_reason")
            thought, said = splitter.feed(text) if isinstance(text, str) and text else ("", "")
            if last:
                thought, said = (before + after for before, after in zip((thought, said), splitter.end(), strict=True))
            if thought:
                message["reasoning_content"] = (message.get("reasoning_content") or "") + thought
            if isinstance(text, str) or said:
                message["content"] = said

    return mend
