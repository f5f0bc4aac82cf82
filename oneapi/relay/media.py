"""Images named by address, fetched for vendors that want bytes; the only place where the relay follows a user's address."""

import base64
from typing import Any

from oneapi import guarded
from oneapi.state import State
from oneapi.wire import VendorError

Json = dict[str, Any]

MAX_IMAGE = 20 * 1024 * 1024


def inlined(body: Json, state: State) -> Json:
    """The body with every image address turned into a data URL; the body itself when there is none."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return body
    changed = [_message(message, state) for message in messages]
    return body if all(new is old for new, old in zip(changed, messages, strict=True)) else body | {"messages": changed}


def _message(message: Any, state: State) -> Any:
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return message
    parts = [_part(part, state) for part in content]
    return message if all(new is old for new, old in zip(parts, content, strict=True)) else message | {"content": parts}


def _part(part: Any, state: State) -> Any:
    image: Any = part.get("image_url") if isinstance(part, dict) else None
    url = image if isinstance(image, str) else image.get("url") if isinstance(image, dict) else None
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        return part
    fetched = data_url(url, state)
    return part | {"image_url": fetched if isinstance(image, str) else {**image, "url": fetched}}


def data_url(url: str, state: State) -> str:
    """The image behind an address as a data URL; raises VendorError("bad_request") when it cannot be had."""
    config = state.config
    try:
        answer = guarded.get(
            url, max_bytes=MAX_IMAGE, timeout=config.user_content_request_timeout, proxy=config.user_content_request_proxy,
            ports=guarded.PORTS | state.settings.extra_ports(),
        )  # fmt: skip
    except guarded.FetchError as error:
        raise VendorError("bad_request", f"The image at {url[:200]} could not be fetched: {error}") from error
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith("image/"):
        raise VendorError("bad_request", f"What is at {url[:200]} is not an image but {kind or 'of no stated type'}.")
    return f"data:{kind};base64,{base64.b64encode(answer.body).decode()}"
