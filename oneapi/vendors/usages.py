"""Usage as providers with a format of their own report it, in OpenAI's shape. No row lives here."""

import re
from typing import Any

from oneapi.vendors import fees, reports, shapes

Json = dict[str, Any]


def anthropic(told: Json) -> Json:
    """OpenAI's usage; the provider's `input_tokens` leaves out what went to or came from the cache."""
    told = reports.numbers(told)
    read, (written, long) = told.get("cache_read_input_tokens"), anthropic_written(told)
    thought = reports.numbers(told.get("output_tokens_details")).get("thinking_tokens")
    prompt = (told.get("input_tokens") or 0) + (read or 0) + written
    used = shapes.usage(
        prompt, told.get("output_tokens") or 0, cached=read, cache_write=written or None, cache_write_1h=long or None,
        reasoning=thought,
    )  # fmt: skip
    if calls := {name: n for name, n in reports.numbers(told.get("server_tool_use")).items() if n}:
        used["server_tool_use"] = calls
    return fees.tiered(used, "fast" if told.get("speed") == "fast" else told.get("service_tier"))


def anthropic_written(told: Json) -> tuple[int, int]:
    """Return the tokens written to the cache, and those of them that are kept for an hour, which cost more.

    https://platform.claude.com/docs/en/build-with-claude/prompt-caching#1-hour-cache-duration
    """
    times = reports.numbers(told.get("cache_creation"))
    long = times.get("ephemeral_1h_input_tokens") or 0
    written = told.get("cache_creation_input_tokens") or (times.get("ephemeral_5m_input_tokens") or 0) + long
    return written, min(long, written)


def bedrock(told: Json, tier: Any = None) -> Json:
    """OpenAI's usage; the provider's inputTokens leave out what went to or came from the cache.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
    """
    told = reports.numbers(told)
    read, (written, long) = told.get("cacheReadInputTokens"), bedrock_written(told)
    prompt = (told.get("inputTokens") or 0) + (read or 0) + written
    used = shapes.usage(
        prompt, told.get("outputTokens") or 0, cached=read, cache_write=written or None, cache_write_1h=long or None
    )
    return fees.tiered(used, tier.get("type") if isinstance(tier, dict) else None)


def bedrock_written(told: Json) -> tuple[int, int]:
    """Return the tokens written to the cache, and those of them that are kept for an hour, which cost more."""
    kept = [detail for detail in told.get("cacheDetails") or () if isinstance(detail, dict)]
    long = sum(detail.get("inputTokens") or 0 for detail in kept if detail.get("ttl") == "1h")
    written = told.get("cacheWriteInputTokens") or sum(detail.get("inputTokens") or 0 for detail in kept)
    return written, min(long, written)


# How Vertex names the tiers: https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/GenerateContentResponse
TRAFFIC = {"ON_DEMAND_FLEX": "flex", "ON_DEMAND_PRIORITY": "priority"}
BY_PROMPT = re.compile(r"gemini-[12]\.")  # models whose grounding is paid by the prompt; later ones are paid by the query


def gemini(told: Json) -> Json:
    """OpenAI's usage; the provider counts thoughts beside the answer, and tool results beside the prompt."""
    told = reports.numbers(told)
    prompt = (told.get("promptTokenCount") or 0) + (told.get("toolUsePromptTokenCount") or 0)
    thought = told.get("thoughtsTokenCount")
    spoken = (told.get("candidatesTokenCount") or 0) + (thought or 0)
    used = shapes.usage(prompt, spoken, cached=told.get("cachedContentTokenCount"), reasoning=thought)
    for side, details in (("prompt", told.get("promptTokensDetails")), ("completion", told.get("candidatesTokensDetails"))):
        for detail in details or ():
            name = {"AUDIO": "audio_tokens", "IMAGE": "image_tokens"}.get(detail.get("modality"))
            if name and detail.get("tokenCount"):
                used.setdefault(f"{side}_tokens_details", {})[name] = detail["tokenCount"]
    fees.add(used, "web_search", told.get("webSearches") or 0)
    tier = str(told.get("serviceTier") or "").lower().removeprefix("service_tier_")
    return fees.tiered(used, tier.replace("unspecified", "") or TRAFFIC.get(str(told.get("trafficType")), ""))


def gemini_grounded(answer: Json, model: str) -> Json:
    """The provider's usage metadata, with the searches that the grounding of its candidates tells of.

    https://ai.google.dev/gemini-api/docs/google-search#pricing
    """
    found = answer["usageMetadata"] if isinstance(answer.get("usageMetadata"), dict) else {}
    searched = [candidate.get("groundingMetadata") for candidate in answer.get("candidates") or ()]
    queries = sum(len(told.get("webSearchQueries") or ()) for told in searched if isinstance(told, dict))
    return found | {"webSearches": 1 if BY_PROMPT.search(model) else queries} if queries else found
