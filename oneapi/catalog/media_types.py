"""Media types by the first bytes of a file. What servers and clients declare is often wrong, and providers look at the bytes.

https://mimesniff.spec.whatwg.org/#matching-a-mime-type-pattern
"""

import re

ENOUGH = 64  # bytes that tell every type of this module

# The beginning of a file → its type.
PREFIXES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF87a", "image/gif"), (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"), (b"MM\0*", "image/tiff"), (b"\0\0\1\0", "image/x-icon"),
    (b"\xff\x0a", "image/jxl"), (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"), (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"%PDF-", "application/pdf"),
    (b"ID3\2", "audio/mpeg"), (b"ID3\3", "audio/mpeg"), (b"ID3\4", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"), (b"\xff\xfa", "audio/mpeg"), (b"\xff\xf3", "audio/mpeg"),
    (b"\xff\xf2", "audio/mpeg"), (b"\xff\xf1", "audio/aac"), (b"\xff\xf9", "audio/aac"), (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"), (b"\x1aE\xdf\xa3", "video/webm"), (b"\0\0\1\xba", "video/mpeg"), (b"\0\0\1\xb3", "video/mpeg"),
)  # fmt: skip
RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
# Brands of ISO media files, whose other files are videos. https://mp4ra.org/registered-types/brands
BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "image/heic"),
    **dict.fromkeys((b"mif1", b"msf1"), "image/heif"), **dict.fromkeys((b"avif", b"avis"), "image/avif"),
    b"M4A ": "audio/mp4", b"qt  ": "video/quicktime",
}  # fmt: skip
SVG = re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!doctype\s+svg|<svg\b)", re.IGNORECASE | re.DOTALL)
HTML = re.compile(rb"\s*(<!doctype\s+html|<html|<head|<body)", re.IGNORECASE)
# Other names of a type, and what the same container may hold: a declared one of these is right.
ALIASES = {
    "image/bmp": ("image/x-ms-bmp",), "image/x-icon": ("image/vnd.microsoft.icon",),
    "image/heic": ("image/heif",), "image/heif": ("image/heic", "image/avif"),
    "audio/mpeg": ("audio/mp3", "audio/mpga", "audio/x-mp3", "audio/mpeg3"), "audio/aac": ("audio/x-aac", "audio/mpeg"),
    "audio/wav": ("audio/x-wav", "audio/wave", "audio/vnd.wave"), "audio/flac": ("audio/x-flac",),
    "audio/ogg": ("audio/opus", "video/ogg", "application/ogg"), "video/webm": ("audio/webm", "video/x-matroska"),
    "audio/mp4": ("audio/m4a", "audio/x-m4a", "audio/aac", "video/mp4"),
    "video/mp4": ("audio/mp4", "audio/m4a", "audio/x-m4a", "video/quicktime", "video/3gpp", "video/x-m4v", "audio/3gpp"),
    "video/mpeg": ("video/mpg", "video/mpegps"), "video/x-msvideo": ("video/avi", "video/msvideo"),
}  # fmt: skip
RAW = ("audio/pcm", "audio/l16", "audio/g711", "audio/basic")  # beginnings of types whose bytes may look like anything
UNTOLD = ("", "application/octet-stream", "binary/octet-stream")


def detected(head: bytes) -> str:
    """Return the media type that the first bytes of a file tell; "" when they tell none."""
    if head[:4] == b"RIFF":
        return RIFF.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return BRANDS.get(head[8:12], "video/mp4")
    if head[:2] == b"BM" and head[6:10] == bytes(4):  # the letters alone may begin a text
        return "image/bmp"
    found = next((kind for start, kind in PREFIXES if head.startswith(start)), "")
    return found or ("image/svg+xml" if SVG.match(head) else "")


def settled(declared: str, head: bytes) -> str:
    """Return the declared type where the bytes agree with it or tell nothing, else the type of the bytes.

    "" means that an image or a PDF was declared and the bytes are something else that is not known.
    """
    found = detected(head)
    drawing_as_text = found == "image/svg+xml" and declared not in UNTOLD and not declared.startswith("image/")
    if drawing_as_text or declared.startswith(RAW):
        return declared
    if not found:
        return "" if declared.startswith("image/") or declared == "application/pdf" else declared
    return declared if declared not in UNTOLD and declared in ALIASES.get(found, ()) else found


def is_page(head: bytes) -> bool:
    """Return True for the beginning of an HTML page, which servers send in place of a file they do not give."""
    return HTML.match(head) is not None
