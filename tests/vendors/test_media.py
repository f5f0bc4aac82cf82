"""Files that come with a request: their bytes decide the type that a provider reads, not what the client declared."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from oneapi.vendors import converse_turns, coze_files, gemini_media, gemini_turns, messages_turns, ollama, pieces
from oneapi.wire import Call, DataUrl, Encoded, File, VendorError

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1"
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0"
PDF = b"%PDF-1.7\n%%EOF\n"
Json = dict[str, Any]


def url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{b64encode(data).decode()}"


def picture(url: Any) -> list[Json]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


def converse(turns: list[Json]) -> tuple[str, str]:
    image = converse_turns.messages(turns)[0]["content"][0]["image"]
    return f"image/{image['format']}", image["source"]["bytes"]


def gemini(turns: list[Json]) -> tuple[str, str]:
    part = gemini_turns.contents(turns)[0]["parts"][0]["inlineData"]
    return part["mimeType"], part["data"]


def claude(turns: list[Json]) -> tuple[str, str]:
    source = messages_turns.messages(turns)[0]["content"][0]["source"]
    return source["media_type"], source["data"]


CONVERSIONS = (converse, gemini, claude)


@pytest.mark.parametrize("convert", CONVERSIONS, ids=lambda f: f.__name__)
def test_the_bytes_of_a_data_url_decide_its_type(convert: Callable[[list[Json]], tuple[str, str]]) -> None:
    for declared in ("image/png", "image/jpg", "image/webp", "application/octet-stream"):
        assert convert(picture(url(declared, JPEG))) == ("image/jpeg", b64encode(JPEG).decode())


@pytest.mark.parametrize("convert", [*CONVERSIONS, ollama.messages], ids=lambda f: f.__name__)
def test_a_data_url_whose_bytes_are_no_image_is_refused(convert: Callable[[list[Json]], Any]) -> None:
    for data in (b"<html><body>Not found</body></html>", b"", b"just text"):
        with pytest.raises(VendorError, match="declares image/png, but its bytes are of no format known here") as refused:
            convert(picture(url("image/png", data)))
        assert refused.value.kind == "bad_request"
    with pytest.raises(VendorError, match="is not base64"):
        convert(picture("data:image/png;base64,iVBOR"))


@pytest.mark.parametrize("convert", CONVERSIONS, ids=lambda f: f.__name__)
def test_a_fetched_file_is_handed_on_without_a_copy(convert: Callable[[list[Json]], tuple[str, str]]) -> None:
    fetched = DataUrl("image/png", Encoded(b64encode(PNG)))
    assert convert(picture(fetched))[1] is fetched.data
    assert ollama.messages(picture(fetched))[0]["images"][0] is fetched.data


def test_a_file_part_is_what_its_bytes_say() -> None:
    part = {"type": "file", "file": {"file_data": url("text/plain", PDF), "filename": "a.txt"}}
    turns = [{"role": "user", "content": [part]}]
    assert messages_turns.messages(turns)[0]["content"][0]["source"]["media_type"] == "application/pdf"
    assert gemini(turns)[0] == "application/pdf"
    part["file"]["file_data"] = url("application/pdf", b"<html>")  # type: ignore[index]
    with pytest.raises(VendorError, match="declares application/pdf"):
        gemini(turns)


def test_data_that_is_not_base64_is_refused_with_a_sentence() -> None:
    part = {"type": "file", "file": {"file_data": "data:text/plain;base64," + "QUJD" * 40 + "Q"}}
    with pytest.raises(VendorError, match="is not base64"):
        messages_turns.messages([{"role": "user", "content": [part]}])
    call = Call("chat", {"messages": [{"role": "user", "content": [part]}]}, "bot-1", "http://vendor.invalid", "key")
    with pytest.raises(VendorError, match="is not base64"):
        coze_files.upload(call)


@pytest.mark.parametrize(
    ("declared", "data", "kind", "format"),
    [
        ("wav", b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav", "wav"), ("wav", b"ID3\4\0\0\0", "audio/mpeg", "mp3"),
        ("mp3", b"ID3\4\0\0\0", "audio/mp3", "mp3"), ("mp3", b"fLaC\0\0\0", "audio/flac", "flac"),
        ("pcm16", b"\1\2\3\4", "audio/pcm16", "pcm16"), ("mp3", b"\0\0\0\x1cftypM4A ", "audio/mp4", "m4a"),
    ],
)  # fmt: skip
def test_the_bytes_of_a_sound_decide_its_type(declared: str, data: bytes, kind: str, format: str) -> None:
    part = {"type": "input_audio", "input_audio": {"data": b64encode(data).decode(), "format": declared}}
    turns = [{"role": "user", "content": [part]}]
    assert gemini(turns)[0] == kind
    assert converse_turns.messages(turns)[0]["content"][0]["audio"]["format"] == format


def test_the_bytes_of_an_upload_decide_its_type() -> None:
    def sent(declared: str, data: bytes) -> str:
        call = Call(
            "image_edits", {"prompt": "Blue."}, "gemini-2.5-flash-image", "", "", files=(File("image", "a", declared, data),)
        )
        return str(gemini_media.drawing(call)["contents"][0]["parts"][1]["inlineData"]["mimeType"])

    assert sent("application/octet-stream", PNG) == sent("image/jpeg", PNG) == "image/png"
    assert pieces.as_data_url(File("image", "a.png", "image/png", JPEG)).startswith("data:image/jpeg;base64,")
    with pytest.raises(VendorError, match="The file a is declared image/png") as refused:
        sent("image/png", b"<html>")
    assert refused.value.param == "image"
