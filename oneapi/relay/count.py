"""Count tokens offline. Exact for OpenAI's vocabularies; long texts are counted in a thread, since counting is not free."""

from functools import lru_cache
from typing import Any

import gevent

INLINE = 8_000  # characters that are counted where we stand; more go to the thread pool
PIECE = 40_000  # a vocabulary may take minutes on one endless word: longer texts are cut


def tokens(text: str, model: str, *, approximate: bool = False) -> int:
    """How many tokens a text has for a model."""
    if approximate or not text:
        return int(len(text.encode()) * 0.38)
    vocabulary = _vocabulary(model)
    if len(text) <= INLINE:
        return _count(text, vocabulary)
    return gevent.get_hub().threadpool.apply(_count, (text, vocabulary))


def _count(text: str, vocabulary: str) -> int:
    encoder = _encoder(vocabulary)
    return sum(encoder.count(text[start : start + PIECE]) for start in range(0, len(text), PIECE))


def _vocabulary(model: str) -> str:
    old = model.startswith(("gpt-3.5", "gpt-4", "text-embedding", "text-davinci")) and not model.startswith(
        ("gpt-4o", "gpt-4.1", "gpt-4.5")
    )
    return "cl100k_base" if old else "o200k_base"


@lru_cache(maxsize=2)
def _encoder(vocabulary: str) -> Any:
    import quicktok  # a third of the process's memory: loaded when a vendor first reports no usage

    return quicktok.get_encoding(vocabulary)
