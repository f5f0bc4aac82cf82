"""Log probabilities of tokens in OpenAI's form. No row lives here.

https://platform.openai.com/docs/api-reference/chat/object
"""

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]


def token(text: str, logprob: Any, top: Iterable[Json] = ()) -> Json:
    """Return the entry of one token, with its likeliest alternatives in `top`."""
    return {**alternative(text, logprob), "top_logprobs": list(top)}


def alternative(text: str, logprob: Any) -> Json:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode("utf-8", "replace"))}


def marked(choice: Json, tokens: list[Json]) -> None:
    """Add the tokens to a choice of an answer or chunk; a choice without any keeps `logprobs: null`."""
    if tokens:
        choice["logprobs"] = {"content": tokens, "refusal": None}
