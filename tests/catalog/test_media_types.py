"""Media types by first bytes: every format providers take, and what a declared type is worth against them."""

import pytest

from oneapi.catalog import media_types

HEADS = {
    "image/png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF", "image/gif": b"GIF89a\1\0\1\0",
    "image/webp": b"RIFF\x24\0\0\0WEBPVP8 ", "image/bmp": b"BM\x46\0\0\0\0\0\0\0\x36", "image/tiff": b"II*\0\x08\0\0\0",
    "image/heic": b"\0\0\0\x18ftypheic\0\0\0\0", "image/heif": b"\0\0\0\x18ftypmif1\0\0\0\0",
    "image/avif": b"\0\0\0\x1cftypavif\0\0\0\0", "image/svg+xml": b'<?xml version="1.0"?>\n<!-- a\nb -->\n<svg xmlns="',
    "application/pdf": b"%PDF-1.7\n", "audio/wav": b"RIFF\x24\0\0\0WAVEfmt ", "audio/mpeg": b"ID3\4\0\0\0\0\0\0",
    "audio/flac": b"fLaC\0\0\0\x22", "audio/ogg": b"OggS\0\2", "audio/mp4": b"\0\0\0\x1cftypM4A \0\0\0\0",
    "video/mp4": b"\0\0\0\x20ftypisom\0\0\2\0", "video/quicktime": b"\0\0\0\x14ftypqt  ",
    "video/webm": b"\x1aE\xdf\xa3\x9fB\x86\x81",
}  # fmt: skip


@pytest.mark.parametrize("kind", HEADS)
def test_the_first_bytes_tell_the_type(kind: str) -> None:
    assert media_types.detected(HEADS[kind]) == kind
    for declared in ("", "application/octet-stream", "image/png"):
        assert media_types.settled(declared, HEADS[kind]) == kind


def test_sound_without_a_tag_is_told_from_pictures() -> None:
    assert media_types.detected(b"\xff\xfb\x90\x00") == "audio/mpeg"
    assert media_types.detected(b"\xff\xd8\xff\xdb") == "image/jpeg"


@pytest.mark.parametrize("head", [b"", b"\0\0\0", b"hello", b"<!DOCTYPE html><html>", b'{"error": "gone"}', b"RIFF\0\0\0\0ABCD"])
def test_what_tells_no_type_is_not_an_image(head: bytes) -> None:
    assert media_types.detected(head) == ""
    assert media_types.settled("image/png", head) == media_types.settled("application/pdf", head) == ""
    assert media_types.settled("text/plain", head) == "text/plain" and media_types.settled("audio/pcm", head) == "audio/pcm"


def test_another_name_of_the_same_format_stays() -> None:
    for declared, kind in (("audio/mp3", "audio/mpeg"), ("audio/x-wav", "audio/wav"), ("audio/mp4", "video/mp4"),
                           ("audio/webm", "video/webm"), ("image/heif", "image/heic")):  # fmt: skip
        assert media_types.settled(declared, HEADS[kind]) == declared
    assert media_types.settled("audio/mpeg", HEADS["audio/wav"]) == "audio/wav"


@pytest.mark.parametrize("head", [b"BMW builds cars.", b"ID3 tags are", b"<svg xmlns=''>", b"<?xml version='1.0'?><svg>"])
def test_a_text_stays_a_text(head: bytes) -> None:
    for declared in ("text/plain", "text/html", "application/xml"):
        assert media_types.settled(declared, head) == declared
    assert media_types.settled("text/plain", HEADS["application/pdf"]) == "application/pdf"


def test_raw_sound_may_look_like_anything() -> None:
    assert media_types.settled("audio/pcm16", b"\xff\xfb\x90\x00") == "audio/pcm16"


def test_a_page_is_told_from_an_image() -> None:
    assert media_types.is_page(b"\n<!DOCTYPE HTML>\n<html lang=en>") and media_types.is_page(b"<html>")
    assert not media_types.is_page(HEADS["image/svg+xml"]) and not media_types.is_page(HEADS["image/png"])
