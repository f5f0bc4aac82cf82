"""Rules for images: what a model can draw and for how much, what an image costs as input, and how large a file says it is."""

import functools
import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from oneapi.catalog import load

DEFAULT_SIZE = "1024x1024"
DEFAULT_MODEL = "dall-e-2"


@dataclass(frozen=True, slots=True)
class ImageModel:
    """What a model can draw. `sizes` maps a size to its price factor (empty: any size, factor 1); `prompt` counts characters.

    `hd` maps a size to the extra factor of quality "hd", with "" for all other sizes. `tokens` names the table of output
    tokens for models billed by them. `upstream` is the vendor's name where it differs from ours.
    """

    sizes: Mapping[str, float] = field(default_factory=dict)
    n: tuple[int, int] = (1, 0)  # least and most images of one call; 0: no limit
    prompt: int = 0  # 0: no limit
    hd: Mapping[str, float] = field(default_factory=dict)
    tokens: str = ""
    upstream: str = ""


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why an image request is refused with 400: `code` is what compatible clients match on."""

    code: str
    message: str


def model(name: str) -> ImageModel:
    """The rules of a model; a model nobody knows may do anything."""
    return MODELS.get(name, _ANY)


def complaint(name: str, prompt: str, size: str, n: int) -> Complaint | None:
    """What is wrong with a request to draw, looked up by the vendor's name for the model."""
    rules = model(name)
    if not prompt:
        return Complaint("prompt_missing", "prompt is required")
    if rules.sizes and size not in rules.sizes:
        return Complaint("size_not_supported", f"size not supported for this image model: give one of {', '.join(rules.sizes)}")
    if rules.prompt and len(prompt) > rules.prompt:
        return Complaint("prompt_too_long", f"prompt is too long: {name} takes {rules.prompt} characters")
    if n < rules.n[0] or (rules.n[1] and n > rules.n[1]):
        return Complaint(
            "n_not_within_range", f"invalid value of n: {name} draws {rules.n[0]} to {rules.n[1] or 'any number of'} images"
        )
    return None


def cost_factor(name: str, size: str, quality: str = "") -> float:
    """What one image costs, as a factor on model ratio × 1,000 quota."""
    rules = model(name)
    factor = rules.sizes.get(size, 1.0)
    return factor * rules.hd.get(size, rules.hd.get("", 1.0)) if quality == "hd" else factor


def output_tokens(name: str, size: str, quality: str = "") -> int | None:
    """Tokens of one drawn image where the model is billed by them, else None. An open size or quality counts as the dearest."""
    table = TOKENS.get(model(name).tokens)
    if table is None:
        return None
    by_size = table.get(quality) or table["high"]
    return by_size.get(size) or max(by_size.values())


def image_tokens(name: str, width: int, height: int, detail: str = "") -> int:
    """Prompt tokens of one image the client sent, as an estimate; 0 for a detail nobody knows."""
    rule = _vision(name)
    if detail not in ("", "auto", "high", "low", "original"):
        return 0
    if "patches" in rule:
        return _patches(rule, width, height)
    if "area" in rule:
        return _area(rule, width, height)
    if detail == "low":
        return int(rule["base"])
    return int(rule["base"] + rule["tile"] * _tiles(width, height))


@functools.lru_cache(maxsize=1024)
def _vision(name: str) -> Mapping[str, Any]:
    return next(rule for rule in VISION if re.match(rule["match"], name))


def _tiles(width: int, height: int) -> int:
    """Squares of 512 after fitting into 2048 × 2048 and bringing the shorter side down to 768. No size, no tiles."""
    if width > 2048 or height > 2048:
        scale = 2048 / max(width, height)
        width, height = int(width * scale), int(height * scale)
    if width > 768 and height > 768:
        scale = 768 / min(width, height)
        width, height = int(width * scale), int(height * scale)
    return math.ceil(width / 512) * math.ceil(height / 512)


def _patches(rule: Mapping[str, Any], width: int, height: int) -> int:
    """Squares of 32, at most so many, times the model's factor. https://platform.openai.com/docs/guides/images-vision"""
    squares = min(math.ceil(width / 32) * math.ceil(height / 32), rule["patches"])
    return math.ceil(squares * rule["factor"])


def _area(rule: Mapping[str, Any], width: int, height: int) -> int:
    """Pixels by 750 with the longer side at most 1568. https://platform.claude.com/docs/en/build-with-claude/vision"""
    scale = min(1.0, rule["longest"] / max(width, height, 1))
    return min(1600, math.ceil(width * scale * height * scale / rule["area"]))


def header_size(data: bytes) -> tuple[int, int]:
    """Width and height by the first bytes of a PNG, JPEG, GIF or WebP; (0, 0) for anything else or a file cut too short."""
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            return _pair(struct.unpack_from(">II", data, 16))
        if data[:6] in (b"GIF87a", b"GIF89a"):
            return _pair(struct.unpack_from("<HH", data, 6))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data[:2] == b"\xff\xd8":
            return _jpeg(data)
    except (struct.error, IndexError):
        pass
    return 0, 0


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return values[0], values[1]


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0


def _jpeg(data: bytes) -> tuple[int, int]:
    """The size in the first start-of-frame segment; C4, C8 and CC share its numbers but are tables."""
    at = 2
    while at < len(data):
        if data[at] != 0xFF:
            return 0, 0
        mark = data[at + 1]
        if mark == 0xFF:  # a fill byte before the marker
            at += 1
            continue
        if mark == 0x01 or 0xD0 <= mark <= 0xD8:  # these stand alone
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if length < 2:
            return 0, 0
        at += 2 + length
    return 0, 0


def image_models(data: Mapping[str, Any], name: str = "images.json") -> dict[str, ImageModel]:
    """The models of data/images.json, checked."""
    return {model: _image_model(name, model, entry, data["tokens"]) for model, entry in data["models"].items()}


def _image_model(file: str, model: str, entry: Mapping[str, Any], tokens: Mapping[str, Any]) -> ImageModel:
    low, high = entry.get("n", (1, 0))
    load.need(file, model, isinstance(low, int) and isinstance(high, int) and 1 <= low <= high, "n must be [least, most]")
    load.need(file, model, not set(entry) - {"sizes", "n", "prompt", "hd", "tokens", "upstream"}, "has an unknown key")
    for size, factor in {**entry.get("sizes", {}), **entry.get("hd", {})}.items():
        load.need(file, model, bool(re.fullmatch(r"\d+x\d+|auto|", size)), f"{size!r} is no size")
        load.need(file, model, load.number(factor, 0.01, 100), f"the factor of {size} must be a number from 0.01 to 100")
    load.need(file, model, entry.get("tokens", "") in ("", *tokens), "names a table of tokens that is not there")
    return ImageModel(**{**entry, "n": (low, high)})


def _vision_rules(rows: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    for row in rows:
        known = set(row) - {"match"} in ({"base", "tile"}, {"patches", "factor"}, {"area", "longest"})
        load.need(
            "images.json",
            f"vision {row.get('match')!r}",
            known,
            "must have base and tile, patches and factor, or area and longest",
        )
    load.need("images.json", "vision", bool(rows) and rows[-1]["match"] == "", "the last rule must match everything")
    return tuple(rows)


_DATA = load.read("images.json")
_ANY = ImageModel()
MODELS: Mapping[str, ImageModel] = image_models(_DATA)
TOKENS: Mapping[str, Mapping[str, Mapping[str, int]]] = _DATA["tokens"]
VISION = _vision_rules(_DATA["vision"])
