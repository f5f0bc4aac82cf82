"""Reading of usage reports: a provider's token counts, under whichever names it uses, as wire.Usage. Pure."""

from collections.abc import Iterator
from typing import Any

from oneapi.vendors import fees
from oneapi.wire import Usage

Json = dict[str, Any]

MOST_TOKENS = 100_000_000  # of one request; a larger number is an error of the provider

# Names of the usual report. A report with no other names, and with no details, has no finer classes.
PLAIN = frozenset(
    {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"}
)  # fmt: skip
PROMPT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "prompt_token_details")
COMPLETION_DETAILS = ("completion_tokens_details", "output_tokens_details", "completion_token_details")

# Tokens read from the provider's cache. OpenAI, Azure, xAI, Groq, Fireworks, Zhipu and most others: cached_tokens in the
# details; Moonshot, StepFun, Together, Cohere: the same name beside the totals; DeepSeek, SiliconFlow: prompt_cache_hit_tokens;
# Anthropic, MiniMax and LiteLLM: cache_read_input_tokens; Vercel AI SDK: input_cached_tokens and cached_input_tokens;
# Mistral, vLLM and SGLang: num_cached_tokens; others as named.
CACHED = (
    "cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens", "cache_read_tokens", "input_cached_tokens",
    "cached_input_tokens", "cached_prompt_tokens", "prompt_cached_tokens", "num_cached_tokens", "prompt_tokens_cached",
    "cache_hit_tokens", "cache_tokens", "cached_content_token_count",
)  # fmt: skip
# Tokens written to the cache, for any time. OpenAI and OpenRouter: cache_write_tokens; Anthropic, DashScope and LiteLLM: the
# second and third; New API: cached_creation_tokens.
WRITTEN = (
    "cache_write_tokens", "cache_creation_input_tokens", "cache_creation_tokens", "cached_creation_tokens",
    "cache_write_input_tokens", "input_cache_write_tokens", "cache_creation_prompt_tokens",
)  # fmt: skip
# How written tokens divide by the time they are kept: Anthropic and DashScope, LiteLLM, OpenAI.
TIMES = ("cache_creation", "cache_creation_token_details", "cache_creation_tokens_details", "cache_write_tokens_details")
SHORT = ("ephemeral_5m_input_tokens", "ttl_5m_tokens", "ttl_30m_tokens")
LONG = ("ephemeral_1h_input_tokens", "ttl_1h_tokens", "ttl_12h_tokens", "ttl_24h_tokens")
LONG_BESIDE = ("cache_write_1h_tokens", "claude_cache_creation_1_h_tokens")  # the second is New API's
# Names that Anthropic counts beside `input_tokens`, not within.
ANTHROPIC = ("cache_read_input_tokens", "cache_creation_input_tokens")
CACHE_NAMES = frozenset((*CACHED, *WRITTEN, *TIMES, *LONG_BESIDE))


def usage(report: Any) -> Usage | None:
    """Return the tokens of a usage object, made sane: None when it says nothing, zeros when nothing in it is credible.

    A report is not believed where it cannot be: parts never exceed their total, nothing is negative or not a number.
    """
    if not isinstance(report, dict):
        return None
    plain = _plain(report)
    if plain is not None:
        return plain
    flags: list[str] = []
    prompt = _number(report, ("prompt_tokens", "input_tokens"), flags)
    completion = _number(report, ("completion_tokens", "output_tokens"), flags)
    total = _number(report, ("total_tokens",), flags)
    before, after = _details(report, PROMPT_DETAILS), _details(report, COMPLETION_DETAILS)
    cached, written, long = _cache(report, before, flags)
    if (cached or written) and _excludes_cache(report, before, (prompt, completion, total), cached + written):
        prompt += cached + written
    if not total and prompt and _first(report, ("completion_tokens", "output_tokens")) is None:
        flags.append("completion_tokens were missing")
    if total and not prompt and not completion:
        prompt = total
    elif total > prompt + completion and not completion:
        completion = total - prompt
    elif total > prompt + completion and not prompt:
        prompt = total - completion
    if not prompt and not completion:
        return Usage(estimated=True, flagged="; ".join(flags)) if flags else None
    audio_in, image_in = (_number(before, (n,), flags) for n in ("audio_tokens", "image_tokens"))
    cached, written, audio_in, image_in = _within(prompt, [cached, written, audio_in, image_in], flags)
    (long,) = _within(written, [long], flags)
    reasoning, audio_out, image_out = (_number(after, (n,), flags) for n in ("reasoning_tokens", "audio_tokens", "image_tokens"))
    audio_out, image_out = _within(completion, [audio_out, image_out], flags)
    return Usage(
        prompt, completion, cached, written, min(reasoning, completion), audio_in, audio_out, image_in, image_out,
        cache_write_1h=long, tools=fees.tools(report, flags), tier=fees.tier(report), flagged="; ".join(dict.fromkeys(flags)),
    )  # fmt: skip


def doubtful(used: Usage) -> bool:
    """Whether a report said nothing credible of the answer, which then has to be counted."""
    return not used.completion and ("completion_tokens" in used.flagged or "output_tokens" in used.flagged)


def _plain(report: Json) -> Usage | None:
    """The usual report, sane and without finer classes, read quickly; None for every other."""
    prompt, completion = report.get("prompt_tokens"), report.get("completion_tokens")
    if type(prompt) is not int or type(completion) is not int:
        return None
    if not 0 < prompt <= MOST_TOKENS or not 0 < completion <= MOST_TOKENS:
        return None
    if report.get("total_tokens") != prompt + completion:
        return None
    if len(report) > 3 and not (  # there is more than these three
        PLAIN.issuperset(report) and not report.get("prompt_tokens_details") and not report.get("completion_tokens_details")
    ):
        return None
    return Usage(prompt, completion)


# -- tokens read from and written to the provider's cache -------------------------------------------------------------


def _cache(report: Json, details: Json, flags: list[str]) -> tuple[int, int, int]:
    """Return the tokens read from the cache, written to it, and, of the written ones, those kept for an hour or longer."""
    places = (details,) if CACHE_NAMES.isdisjoint(report) else (details, report)
    cached, written, long, short = 0, 0, 0, 0
    for place in places:
        cached = cached or _positive(place, CACHED, flags)
        written = written or _positive(place, WRITTEN, flags)
        for times in _times(place):
            long = long or _positive(times, LONG, flags)
            short = short or _positive(times, SHORT, flags)
        long = long or _positive(place, LONG_BESIDE, flags)
    return cached, written or short + long, long


def _times(place: Json) -> Iterator[Json]:
    return (value for name in TIMES if isinstance(value := place.get(name), dict))


def _excludes_cache(report: Json, details: Json, counts: tuple[int, int, int], cache: int) -> bool:
    """Whether the prompt was counted without the tokens of the cache, as Anthropic does.

    Anthropic says `input_tokens` and no total. Gateways that speak OpenAI's dialect add the cache to `prompt_tokens`
    (LiteLLM, New API); where one does not, its total or a cache larger than the prompt tells so.
    """
    if details:
        return False
    prompt, completion, total = counts
    beside = any(report.get(name) for name in ANTHROPIC)
    if beside and report.get("prompt_tokens") is None:
        return not total or total != prompt + completion
    return (beside and cache > prompt) or (prompt > 0 and total == prompt + completion + cache)


# -- numbers ----------------------------------------------------------------------------------------------------------


def _first(report: Json, names: tuple[str, ...]) -> Any:
    return next((report[name] for name in names if report.get(name) is not None), None)


def _number(report: Json, names: tuple[str, ...], flags: list[str]) -> int:
    """The first number among these names that can be believed."""
    for name in names:
        value = report.get(name)
        if value is not None and _credible(name, value, flags):
            return int(value)
    return 0


def _positive(place: Json, names: tuple[str, ...], flags: list[str]) -> int:
    """The first number above zero among these names: providers send zeros under the names they do not use."""
    for name in names:
        value = place.get(name)
        if value and _credible(name, value, flags):
            return int(value)
    return 0


def _credible(name: str, value: Any, flags: list[str]) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MOST_TOKENS:  # NaN is neither
        flags.append(f"{name} was {str(value)[:30]}")
        return False
    return True


def _details(report: Json, names: tuple[str, ...]) -> Json:
    return next((value for name in names if isinstance(value := report.get(name), dict)), {})


def _within(total: int, parts: list[int], flags: list[str]) -> list[int]:
    left, kept = total, []
    for part in parts:
        if part > left:
            flags.append("parts exceeded their total")
        kept.append(min(part, left))
        left -= kept[-1]
    return kept
