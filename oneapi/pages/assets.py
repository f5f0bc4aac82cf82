"""Static files: addresses that carry a hash of everything, compressed once, cached for a year."""

import gzip
import hashlib
import mimetypes
from functools import lru_cache
from pathlib import Path

from flask import Flask, Response, abort, request, send_from_directory

FOLDER = Path(__file__).resolve().parent.parent / "static"
COMPRESSED = {"text/css", "text/javascript", "image/svg+xml", "application/json"}
YEAR = "public, max-age=31536000, immutable"

mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("font/woff2", ".woff2")


@lru_cache
def build() -> str:
    """One digest of all static files, so that addresses inside stylesheets stay relative."""
    digest = hashlib.sha256()
    for path in sorted(p for p in FOLDER.rglob("*") if p.is_file()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def asset(name: str) -> str:
    """The address of a static file."""
    return f"/static/{build()}/{name}"


@lru_cache(maxsize=64)
def _compressed(name: str) -> bytes:
    return gzip.compress((FOLDER / name).read_bytes(), 9, mtime=0)


def serve(filename: str) -> Response:
    """A static file; the build in its address may be an older one, but then nobody keeps the answer."""
    first, _, rest = filename.partition("/")
    current = first == build()
    name = rest if current or not (FOLDER / filename).is_file() else filename
    path = FOLDER / name
    if not path.resolve().is_relative_to(FOLDER) or not path.is_file():
        abort(404)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if kind in COMPRESSED and "gzip" in request.headers.get("Accept-Encoding", ""):
        answer = Response(_compressed(name), mimetype=kind, headers={"Content-Encoding": "gzip"})
    else:
        answer = send_from_directory(FOLDER, name, mimetype=kind)
    answer.headers["Vary"] = "Accept-Encoding"
    answer.headers["Cache-Control"] = YEAR if current else "no-cache"
    return answer


def init(app: Flask) -> None:
    app.view_functions["static"] = serve
    app.jinja_env.globals["asset"] = asset
