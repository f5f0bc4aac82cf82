"""What a client sends, read and checked: bodies, JSON and forms; raises Refused that says what is wrong with them."""

import io
import zlib
from typing import Any

import orjson
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.formparser import parse_form_data

from oneapi.relay.endpoints import Endpoint
from oneapi.relay.refusal import Refused
from oneapi.wire import File

Environ = dict[str, Any]

MOST_PARTS = 1000  # of a form: reading many takes long, and nobody else is served meanwhile


def read(environ: Environ, limit: int) -> bytes:
    """The body as it came; raises Refused(413) when it is longer than `limit` bytes."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal():
        raise Refused(400, "Content-Length must be a number.", "invalid_request")
    if int(length) > limit:
        raise too_large(limit)
    endless = not int(length) and (environ.get("wsgi.input_terminated") or environ.get("HTTP_TRANSFER_ENCODING"))
    try:
        return environ["wsgi.input"].read(limit + 1 if endless else int(length))
    except OSError as error:  # our handler knows why: too large, too slow, badly framed
        status = str(getattr(getattr(environ["wsgi.input"], "raw", None), "error", ""))[:3]
        if status == "413":
            raise too_large(limit) from error
        raise Refused(int(status or 400), "The body of the request did not come whole.", "invalid_request") from error


def decompressed(raw: bytes, coding: str, limit: int) -> bytes:
    if coding not in ("gzip", "deflate"):
        raise Refused(415, f"Content-Encoding {coding} is not known here: send gzip, deflate or nothing.", "unsupported_encoding")
    inflate = zlib.decompressobj(47 if coding == "gzip" else 15)
    try:
        data = inflate.decompress(raw, limit + 1)
    except zlib.error as error:
        raise Refused(400, f"The body is not valid {coding}.", "invalid_request") from error
    if len(data) > limit:
        raise too_large(limit)
    return data


def too_large(limit: int) -> Refused:
    return Refused(413, f"The request is larger than {limit // 1048576} MB.", "request_too_large")


def document(raw: bytes) -> dict[str, Any]:
    """The JSON object of a body; raises Refused(400) that says where it is wrong."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        where = f": {error.msg} at line {error.lineno}, column {error.colno}" if raw.strip() else ": it is empty"
        raise Refused(400, f"The body is not valid JSON{where}.", "invalid_json") from error
    if not isinstance(body, dict):
        raise Refused(400, "The body must be a JSON object.", "invalid_json")
    return body


def form(environ: Environ, raw: bytes) -> tuple[dict[str, Any], tuple[File, ...]]:
    """Fields and files of a form; a field that comes several times, or as `name[]`, is a list."""
    if raw.count(b"&") > MOST_PARTS and "urlencoded" in environ["CONTENT_TYPE"]:
        raise too_many_parts()
    try:
        _, fields, uploads = parse_form_data(
            environ | {"wsgi.input": io.BytesIO(raw), "CONTENT_LENGTH": str(len(raw))},
            stream_factory=lambda *_, **__: io.BytesIO(),  # the body is in memory already, and within its limit
            silent=False,
            max_form_parts=MOST_PARTS,
        )
    except RequestEntityTooLarge as error:
        raise too_many_parts() from error
    except (HTTPException, ValueError) as error:
        raise Refused(400, "The form could not be read: check its boundary and its parts.", "invalid_form") from error
    if None in fields or None in uploads:
        raise Refused(400, "A part of the form has no name.", "invalid_form")
    body: dict[str, Any] = {}
    for name, values in fields.lists():
        body[name] = values[0] if len(values) == 1 and not name.endswith("[]") else list(values)
    files = tuple(
        File(name, upload.filename or name, upload.content_type or "application/octet-stream", upload.read())
        for name, group in uploads.lists()
        for upload in group
    )
    return body, files


def too_many_parts() -> Refused:
    return Refused(413, f"The form has more than {MOST_PARTS} parts.", "request_too_large")


def check_types(body: dict[str, Any]) -> None:
    """Fields of JSON that decide how we answer must be what they seem to be: a vendor may read "false" as true."""
    if "stream" in body and not isinstance(body["stream"] or False, bool):
        raise Refused(400, "stream must be true or false", "invalid_text_request", param="stream")
    if "stream_options" in body and not isinstance(body["stream_options"] or {}, dict):
        raise Refused(400, "stream_options must be an object", "invalid_text_request", param="stream_options")


def check(endpoint: Endpoint, body: dict[str, Any]) -> None:
    """What every vendor would refuse is refused here, with the name of the field."""
    for name in endpoint.needs:
        if name not in body or body[name] in ("", None, []):
            raise Refused(400, f"field {name} is required", "invalid_text_request", param=name)
    if endpoint.kind == "chat" and not isinstance(body["messages"], list):
        raise Refused(400, "messages must be a list", "invalid_text_request", param="messages")
    for name in ("max_tokens", "max_completion_tokens"):
        limit = body.get(name)
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 <= limit < 1 << 30):
            raise Refused(400, f"{name} is invalid: give a whole number from 0 to 1073741823", "invalid_text_request", param=name)
    if endpoint.kind == "speech" and len(str(body["input"])) > 4096:
        raise Refused(400, "input is too long (over 4096 characters)", "text_too_long", param="input")
