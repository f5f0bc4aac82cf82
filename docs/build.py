"""Write the pages that are tables of what the code declares: python -m docs.build. A test keeps them true."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oneapi import config, settings, vendors
from oneapi.catalog import prices
from oneapi.fields import Field
from oneapi.vendors.contract import Vendor, serving
from oneapi.wire import CALL_KINDS

HERE = Path(__file__).parent
WIRE = HERE.parent / "tests" / "wire"
NOTE = "<!-- Written by `python -m docs.build` from the code: change it there. -->\n\n"

KINDS = ("chat", "completions", "embeddings", "moderations", "images", "image_edits", "speech", "transcriptions", "rerank")
# Modules whose requests are the client's own body: what they do not mention travels on.
PASSING = ("openai", "quirks", "azure", "compatible", "minimax", "mistral", "xunfei_v2", "zhipu")
FEATURES = ("stream", "tools", "vision", "JSON", "reasoning")


def cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def table(heads: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(cell(c) for c in line) + " |" for line in lines) + "\n"


# -- vendors --------------------------------------------------------------------------------------------------------


def cases(row: Vendor) -> list[tuple[dict[str, Any], str]]:
    """The wire cases that this row serves, not its sibling of the same name: what is asked, and the golden answer as text."""
    named = next((vendor for vendor in vendors.REGISTRY.values() if vendor.slug == row.slug), row)
    folder = WIRE / row.slug
    found = []
    for place in sorted(folder.glob("*/ask.json")) if folder.is_dir() else ():
        ask, golden = json.loads(place.read_text()), place.with_name("golden.json")
        if serving(named, ask.get("config", {}), ask.get("key", "")) is row:
            found.append((ask, golden.read_text() if golden.exists() else ""))
    return found


def refused(golden: str) -> bool:
    return '"error"' in golden[:40]


def proves(feature: str, ask: dict[str, Any], golden: str) -> bool:
    """Whether a case shows a feature at work."""
    body = ask.get("body", {})
    if ask.get("kind", "chat") != "chat" or refused(golden):
        return False
    match feature:
        case "stream":
            return bool(body.get("stream"))
        case "tools":
            return "tool_calls" in golden
        case "vision":
            return "image_url" in json.dumps(body.get("messages", []))
        case "JSON":
            return "response_format" in body
        case _:
            return "reasoning_content" in golden


def marks(row: Vendor) -> Iterator[str]:
    """● a wire case proves it, ○ OpenAI's own bytes pass untouched, · not offered."""
    proven = cases(row)
    for kind in KINDS:
        offered = kind in row.protocols and (not row.offers or kind in row.offers)
        shown = any(ask.get("kind", "chat") == kind and not refused(golden) for ask, golden in proven)
        yield "●" if offered and shown else "○" if offered else "·"
    native = "chat" in row.protocols and row.protocols["chat"].build.__module__.rpartition(".")[2] in PASSING
    for feature in FEATURES:
        shown = any(proves(feature, ask, golden) for ask, golden in proven)
        yield "●" if shown else "○" if native else "·"
    yield "●" if row.balance else "·"
    yield "●" if row.model_list else "·"


def vendor_rows() -> Iterator[tuple[object, ...]]:
    for row in vendors.REGISTRY.values():
        yield (row.id, row.name, *marks(row))
        if row.compatible is not None:
            yield ("", f"{row.name}, its OpenAI-compatible address", *marks(row.compatible))


HEADERS = """
## Client headers

Of a client's headers `Accept` travels to the provider, and `Idempotency-Key` as a code made of it, the user and
`SESSION_SECRET`: users share accounts at providers, where one must not get the answer of another. The table lists what else
travels, and where. Values of `anthropic-beta` are taken one by one, with or without the date at their end; features that reach
data of the account (files, skills, containers, MCP servers) or have another price (fast mode) are not among them. All other
headers are dropped, `x-goog-*` and `OpenAI-Organization` too. The setting *Further client headers* (`ClientHeaders`) adds
headers that every provider gets, such as `x-trace-id`, or values of a listed one, such as `anthropic-beta=files-api`; it
takes no credentials. The proxy route (type 43), which is for administrators, passes everything except credentials and addresses.

"""


def client_header_rows() -> Iterator[tuple[object, ...]]:
    for row in vendors.REGISTRY.values():
        for name, values in row.client_headers.items():
            yield (row.id, row.name, f"`{name}`", ", ".join(values) or "any")


def vendor_page() -> str:
    heads = ("type", "vendor", *(k.replace("_", " ") for k in KINDS), *FEATURES, "balance", "model list")
    return (
        f"# What works with which vendor\n\n{NOTE}"
        "● proven by a case in `tests/wire/`, balances and model lists by one in `tests/vendors/`; ○ passes through\n"
        "untouched in OpenAI's own form, if the address the channel points at knows it; · not offered, by the vendor or by us.\n"
        "A proxy channel (43) carries any request to any path as it is: `tests/vendors/test_proxy.py`.\n"
        "No vendor was called from here: the cases are written from the vendors' documentation, each names its page, and where\n"
        "a vendor has an official SDK its requests and stream parser are compared in `tests/oracles/`.\n\n"
        + table(heads, vendor_rows())
        + HEADERS
        + table(("type", "provider", "header", "values"), client_header_rows())
    )


# -- configuration and settings -------------------------------------------------------------------------------------


def shown(field: Field) -> str:
    if field.secret:
        return ""
    return "`{}`" if field.type is dict and not field.default else f"`{field.text(field.default)}`" if field.default != "" else ""


def configuration_page() -> str:
    rows = ((f"`{f.stored_as}`", shown(f), f.help) for f in config.FIELDS)
    return (
        f"# Environment variables\n\n{NOTE}"
        "They are read once at the start, also from a file `.env` in the working directory, which never overrides a variable\n"
        "that is set. A value that cannot be taken stops the start with one sentence.\n\n"
        "One sentence is not ours: gunicorn itself takes `WEB_CONCURRENCY` from the environment before it reads any file, and\n"
        "ends with a traceback where it is empty or no whole number. `ONEAPI_WORKERS` says the same, and is read by us alone.\n\n"
        + table(("variable", "default", "meaning"), rows)
    )


def settings_page() -> str:
    lead = "Stored in the database, changed under Settings or with `PUT /api/option/`; in force everywhere within two seconds."
    parts = [f"# Settings\n\n{NOTE}{lead}\n"]
    for section in dict.fromkeys(f.section for f in settings.FIELDS):
        rows = ((f"`{f.stored_as}`", f.label, shown(f), f.help) for f in settings.FIELDS if f.section == section)
        parts.append(f"## {section.capitalize()}\n\n" + table(("key", "label", "default", "help"), rows))
    return "\n".join(parts)


def corrections_page() -> str:
    rows = ((f"`{c.model}`", c.what, c.old, "no price" if c.new is None else c.new, c.why) for c in prices.CORRECTIONS)
    lead = (
        "A ratio of 1 is $0.002 per 1,000 tokens. `old` is the old project's figure, or where it had none, the one that this\n"
        "catalogue carried before.\n\n"
    )
    return f"# Prices that differ from the old project's\n\n{NOTE}{lead}" + table(
        ("model", "what", "old", "new", "why"), rows
    )


PAGES = {
    "vendors.md": vendor_page, "configuration.md": configuration_page, "settings.md": settings_page,
    "corrections.md": corrections_page,
}  # fmt: skip


def main() -> None:
    assert set(KINDS) <= set(CALL_KINDS)
    for name, page in PAGES.items():
        (HERE / name).write_text(page())


if __name__ == "__main__":
    main()
