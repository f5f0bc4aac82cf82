"""What may be drawn and for how much, what an image costs as input, and how large a file says it is."""

import pytest

from oneapi.catalog import images, load


@pytest.mark.parametrize(
    ("model", "prompt", "size", "n", "code"),
    [
        ("dall-e-2", "a cat", "256x256", 10, None), ("dall-e-2", "", "256x256", 1, "prompt_missing"),
        ("dall-e-2", "a cat", "1792x1024", 1, "size_not_supported"), ("dall-e-2", "猫" * 1001, "256x256", 1, "prompt_too_long"),
        ("dall-e-2", "猫" * 1000, "256x256", 1, None), ("dall-e-2", "a cat", "256x256", 11, "n_not_within_range"),
        ("dall-e-2", "a cat", "256x256", 0, "n_not_within_range"), ("dall-e-3", "a cat", "1024x1024", 2, "n_not_within_range"),
        ("cogview-3", "a cat", "7x7", 1, None), ("my-own", "a" * 9999, "7x7", 99, None),
        ("gpt-image-1", "a cat", "auto", 10, None),
        ("wanx-v1", "a cat", "1024x768", 1, "size_not_supported"), ("step-1x-medium", "a cat", "800x1280", 1, None),
    ],
)  # fmt: skip
def test_a_request_to_draw_is_checked_by_the_rules_of_its_model(model, prompt, size, n, code):
    found = images.complaint(model, prompt, size, n)
    assert (found.code if found else None) == code


@pytest.mark.parametrize(
    ("model", "size", "quality", "factor"),
    [
        ("dall-e-2", "256x256", "", 1), ("dall-e-2", "512x512", "", 1.125), ("dall-e-2", "1024x1024", "", 1.25),
        ("dall-e-3", "1024x1024", "hd", 2), ("dall-e-3", "1792x1024", "", 2), ("dall-e-3", "1792x1024", "hd", 3),
        ("dall-e-2", "256x256", "hd", 1), ("my-own", "7x7", "hd", 1),
    ],
)  # fmt: skip
def test_size_and_quality_set_the_price_of_an_image(model, size, quality, factor):
    assert images.cost_factor(model, size, quality) == factor


def test_drawn_tokens_are_known_where_the_vendor_bills_them_and_never_too_few():
    assert images.output_tokens("gpt-image-1", "1024x1536", "medium") == 1584
    assert images.output_tokens("gpt-image-1", "auto", "auto") == 6240
    assert images.output_tokens("dall-e-3", "1024x1024") is None


@pytest.mark.parametrize(
    ("model", "width", "height", "detail", "tokens"),
    [
        ("gpt-4o", 1024, 1024, "", 765), ("gpt-4o", 1024, 1024, "auto", 765), ("gpt-4o", 2048, 4096, "high", 1105),
        ("gpt-4o", 4096, 8192, "low", 85), ("gpt-4o", 512, 512, "high", 255), ("gpt-4o", 513, 100, "high", 425),
        ("gpt-4o", 0, 0, "high", 85), ("gpt-4o", 1024, 1024, "no such detail", 0), ("gpt-4o-mini", 1024, 1024, "high", 25501),
        ("gpt-4o-mini-2024-07-18", 1, 1, "low", 2833), ("gpt-4o", 3000, 600, "high", 85 + 170 * 4), ("glm-4v", 512, 512, "", 255),
        ("gpt-5", 1024, 1024, "high", 630), ("gpt-5-mini", 1024, 1024, "high", 1659), ("gpt-5-nano", 32, 32, "high", 3),
        ("o1", 1024, 1024, "high", 675), ("gpt-4.1-mini", 1800, 2400, "high", 2489), ("claude-sonnet-4-5", 1000, 1000, "", 1334),
        ("claude-sonnet-4-5", 8000, 8000, "", 1600),
    ],
)  # fmt: skip
def test_an_image_costs_tokens_by_its_size_and_detail(model, width, height, detail, tokens):
    assert images.image_tokens(model, width, height, detail) == tokens


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR" + (640).to_bytes(4, "big") + (480).to_bytes(4, "big")
APP0 = b"\xff\xe0\x00\x10JFIF\x00" + b"\x00" * 9
FRAME = b"\x00\x11\x08" + (480).to_bytes(2, "big") + (640).to_bytes(2, "big") + b"\x03"
HUFFMAN = b"\xff\xc4\x00\x04\x00\x00"
WEBP_LOSSY = b"RIFF\x00\x00\x00\x00WEBPVP8 " + b"\x00" * 4 + b"\x00" * 3 + b"\x9d\x01\x2a" + b"\x80\x02\xe0\x01"
WEBP_LOSSLESS = b"RIFF\x00\x00\x00\x00WEBPVP8L" + b"\x00" * 4 + b"\x2f" + (639 | 479 << 14).to_bytes(4, "little")
WEBP_EXTENDED = b"RIFF\x00\x00\x00\x00WEBPVP8X" + b"\x00" * 8 + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("png", PNG), ("gif", b"GIF89a\x80\x02\xe0\x01"), ("jpeg", b"\xff\xd8" + APP0 + HUFFMAN + b"\xff\xc0" + FRAME),
        ("progressive jpeg", b"\xff\xd8\xff\xff\xe0\x00\x02\xff\xc2" + FRAME), ("webp", WEBP_LOSSY),
        ("webp lossless", WEBP_LOSSLESS),
        ("webp extended", WEBP_EXTENDED),
    ],
)  # fmt: skip
def test_a_file_says_its_size_in_its_first_bytes(kind, data):
    assert images.header_size(data) == (640, 480)


@pytest.mark.parametrize(
    "data", [PNG, b"\xff\xd8" + APP0 + b"\xff\xc0" + FRAME, b"GIF89a\x80\x02\xe0\x01", WEBP_LOSSY, WEBP_LOSSLESS]
)
def test_a_file_cut_anywhere_is_never_an_error(data):
    for end in range(len(data) - 4):
        assert images.header_size(data[:end]) == (0, 0)


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"%PDF-1.7", b"\xff\xd8\xff\xe0\x00\x00" * 9, b"\xff\xd8\x00\x00", b"RIFF....WAVEfmt "]
)
def test_anything_else_has_no_size(data):
    assert images.header_size(data) == (0, 0)


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"n": [2, 1]}, "least, most"), ({"sizes": {"big": 1}}, "is no size"), ({"sizes": {"1x1": 0}}, "the factor of 1x1"),
        ({"tokens": "none"}, "a table of tokens"), ({"colour": 1}, "an unknown key"),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_refused(entry, complaint):
    with pytest.raises(load.CatalogError, match=complaint):
        images.image_models({"models": {"m": {"n": [1, 1]} | entry}, "tokens": {}})
