"""The SQL of requests that failed: how many an hour had, and their log rows. See relay/failures.py for the story."""

from typing import Any

from oneapi.models.direct import Direct
from oneapi.models.rollup import Hour
from oneapi.models.upsert import upsert

Key = tuple[int, int, int, int, str]  # hour, user, token, channel and model of a roll-up
KEY = ("hour", "user_id", "token_id", "channel_id", "model_name")
EMPTY = dict.fromkeys(("requests", "quota", "prompt_tokens", "completion_tokens", "elapsed_time"), 0)

_UPSERTS: dict[str, Any] = {}


def count(connection: Direct, counts: dict[Key, int]) -> None:
    """Add to the errors of roll-ups, in the order in which settlements touch them too."""
    dialect = connection.dialect.name
    if dialect not in _UPSERTS:
        _UPSERTS[dialect] = upsert(dialect, Hour, add=("errors",))
    if counts:
        rows = [dict(zip(KEY, key, strict=True)) | EMPTY | {"errors": n} for key, n in sorted(counts.items())]
        connection.execute(_UPSERTS[dialect], rows)
