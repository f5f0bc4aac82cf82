"""Usage as providers with a format of their own report it, in OpenAI's shape. No row lives here."""

from typing import Any

from oneapi.vendors import reports, shapes

Json = dict[str, Any]


def anthropic(told: Json) -> Json:
    """OpenAI's usage; the provider's `input_tokens` leaves out what went to or came from the cache."""
    told = reports.numbers(told)
    read, (written, long) = told.get("cache_read_input_tokens"), anthropic_written(told)
    thought = (told.get("output_tokens_details") or {}).get("thinking_tokens")
    prompt = (told.get("input_tokens") or 0) + (read or 0) + written
    return shapes.usage(
        prompt, told.get("output_tokens") or 0, cached=read, cache_write=written or None, cache_write_1h=long or None,
        reasoning=thought,
    )  # fmt: skip


def anthropic_written(told: Json) -> tuple[int, int]:
    """Return the tokens written to the cache, and those of them that are kept for an hour, which cost more.

    https://platform.claude.com/docs/en/build-with-claude/prompt-caching#1-hour-cache-duration
    """
    times = told.get("cache_creation") or {}
    long = times.get("ephemeral_1h_input_tokens") or 0
    written = told.get("cache_creation_input_tokens") or (times.get("ephemeral_5m_input_tokens") or 0) + long
    return written, min(long, written)


def bedrock(told: Json) -> Json:
    """OpenAI's usage; the provider's inputTokens leave out what went to or came from the cache.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
    """
    told = reports.numbers(told)
    read, (written, long) = told.get("cacheReadInputTokens"), bedrock_written(told)
    prompt = (told.get("inputTokens") or 0) + (read or 0) + written
    return shapes.usage(
        prompt, told.get("outputTokens") or 0, cached=read, cache_write=written or None, cache_write_1h=long or None
    )


def bedrock_written(told: Json) -> tuple[int, int]:
    """Return the tokens written to the cache, and those of them that are kept for an hour, which cost more."""
    kept = [detail for detail in told.get("cacheDetails") or () if isinstance(detail, dict)]
    long = sum(detail.get("inputTokens") or 0 for detail in kept if detail.get("ttl") == "1h")
    written = told.get("cacheWriteInputTokens") or sum(detail.get("inputTokens") or 0 for detail in kept)
    return written, min(long, written)
