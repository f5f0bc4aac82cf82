"""Images named by address, fetched for providers that want bytes; the only place where the relay follows a user's address."""

from binascii import b2a_base64
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from time import monotonic
from typing import Any

import gevent

from oneapi import guarded
from oneapi.catalog import media_types
from oneapi.relay.ask import Ask
from oneapi.relay.media_limits import MediaLimits
from oneapi.relay.refusal import Refused
from oneapi.relay.sockets import Link
from oneapi.state import State
from oneapi.wire import DataUrl, Encoded

Json = dict[str, Any]

LOOK = 0.5  # seconds between two looks at whether the client is there


class Downloads:
    """Fetches what requests name, within the limits of the process. One per process."""

    def __init__(self, state: State):
        self.state, self.limits = state, MediaLimits(state.config)

    def inlined(self, ask: Ask, body: Json) -> Json:
        """Return the body with every image address replaced by a DataUrl, or the body itself when it has none.

        The request keeps what was fetched for its next attempt, until `ask.media.release()`. Raises Refused.
        """
        named = Counter(addresses(body))
        if not named:
            return body
        if named.total() > self.limits.files:
            raise too_many(named.total(), self.limits.files)
        if ask.media is None:
            ask.media = Media(self, ask.caller.user_id)
        ask.media.fetch(named, ask.client)
        return replaced(body, ask.media.files)


class Media:
    """The files of one request, each fetched once, and the memory they take."""

    def __init__(self, downloads: Downloads, user: int):
        self.downloads, self.limits, self.user = downloads, downloads.limits, user
        self.account = self.limits.enter(user)
        self.files: dict[str, DataUrl] = {}
        self.sent = 0  # bytes of files, as often as the request names them
        self.memory = 0  # bytes that are counted as used
        self.end = 0.0
        self.released = False

    def fetch(self, named: Mapping[str, int], client: Link | None = None) -> None:
        """Fetch the files that are not here yet, as long as the client is there; `named` says how often each is named."""
        self.end = monotonic() + self.limits.seconds
        missing = [(url, times) for url, times in named.items() if url not in self.files]
        if missing:
            with self.limits.fetching(self.account, self):
                self._fetch_all(missing, client)

    def _fetch_all(self, missing: list[tuple[str, int]], client: Link | None) -> None:
        rest = iter(missing)
        jobs = [gevent.spawn(self._fetch_each, rest) for _ in missing[: self.limits.fetches_per_user]]
        try:
            while jobs:
                ended = gevent.wait(jobs, LOOK, count=1)
                for job in ended:
                    jobs.remove(job)
                    if (refused := job.get()) is not None:
                        raise refused
                if not ended and client is not None and client.left():
                    raise Refused(499, "The client left.", "client_left")
        finally:
            gevent.killall(jobs)

    def _fetch_each(self, rest: Iterator[tuple[str, int]]) -> Refused | None:
        """Fetch files one after the other from an iterator that others share, up to the first that is refused."""
        return next((refused for url, times in rest if (refused := self._fetch(url, times)) is not None), None)

    def _fetch(self, url: str, times: int) -> Refused | None:
        """Fetch one file; the refusal is returned, since a greenlet that raises writes a traceback."""
        state, limits = self.downloads.state, self.limits
        try:
            with limits.slot(self.account, self.end), closing(Download(url, partial(self._grow, times), limits.file)) as download:
                guarded.get(
                    url, max_bytes=limits.file, timeout=max(0.01, self.end - monotonic()), sink=download,
                    proxy=state.config.user_content_request_proxy, ports=guarded.PORTS | state.settings.extra_ports(),
                )  # fmt: skip
                self.files[url] = download.finished()
        except guarded.FetchError as error:
            return self._failed(url, error)
        except Refused as refused:
            return refused
        return None

    def _grow(self, times: int, size: int) -> None:
        """Count further bytes of a file, which is kept as base64 once and travels in the request as often as it is named."""
        self.sent += size * times
        if self.sent > self.limits.request:
            most = megabytes(self.limits.request)
            text = f"The images that the request names by address are larger than {most} MB together. Send fewer or smaller ones."
            zh = f"该请求以地址引用的图片合计超过 {most} MB，请减少数量或缩小图片"
            raise Refused(400, text, "images_too_large", zh=zh, param="messages")
        memory = size * 4 * (1 + times) // 3
        self.limits.take(self.account, self, memory, self.end)
        self.memory += memory

    def _failed(self, url: str, error: guarded.FetchError) -> Refused:
        if error.reason == "size":
            most = megabytes(self.limits.file)
            return bad(url, f"It is larger than {most} MB.", f"文件超过 {most} MB", "images_too_large")
        if error.reason == "time":
            seconds = self.limits.seconds
            return bad(url, f"It did not arrive within {seconds} seconds.", f"未能在 {seconds} 秒内下载完成")
        return bad(url, error.message)

    def release(self) -> None:
        """Let go of everything: the request has ended. Frames of old tracebacks may refer to its files for a while."""
        if not self.released:
            self.released = True
            for file in self.files.values():
                file.data.ascii = b""
            self.files.clear()
            self.limits.give(self.account, self.memory)
            self.limits.leave(self.user)


class Download:
    """One image on its way: its first bytes decide on its type, and it becomes base64 as it comes."""

    def __init__(self, url: str, grow: Callable[[int], None], most: int):
        self.url, self.grow, self.most = url, grow, most
        self.kind = self.declared = ""
        self.size = self.counted = 0
        self.rest = b""  # bytes that wait: for enough of them to tell the type, then for a multiple of three
        self.encoded = bytearray()

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        if not 200 <= status < 300:
            raise bad(self.url, f"The server answered with status {status}.", f"服务器返回状态 {status}")
        self.declared = headers.get("content-type", "").partition(";")[0].strip().lower()
        length = headers.get("content-length", "")
        if length.isascii() and length.isdecimal() and len(length) < 15 and "content-encoding" not in headers:
            self._count(min(int(length), self.most))

    def write(self, piece: bytes) -> None:
        self.size += len(piece)
        self._count(self.size)
        data = self.rest + piece
        if not self.kind:
            if len(data) < media_types.ENOUGH:
                self.rest = data
                return
            self.kind = self._kind(data)
        whole = len(data) - len(data) % 3
        self.rest = data[whole:]
        self._encode(data[:whole])

    def finished(self) -> DataUrl:
        self.kind = self.kind or self._kind(self.rest)
        self._encode(self.rest)
        return DataUrl(self.kind, Encoded(self.encoded))

    def close(self) -> None:
        self.encoded, self.rest = bytearray(), b""

    def _encode(self, data: bytes) -> None:
        self.encoded += b2a_base64(data, newline=False)

    def _count(self, size: int) -> None:
        if size > self.counted:
            more, self.counted = size - self.counted, size
            self.grow(more)

    def _kind(self, head: bytes) -> str:
        found = media_types.detected(head)
        if found.startswith("image/"):
            return found
        page = "an HTML page" if media_types.is_page(head) else ""
        what = page or found or ("of no image format known here" if head else "empty")
        declared = f" (declared {self.declared[:60]})" if self.declared else ""
        text = f"It is not an image but {what}{declared}. Give the address of the image file itself, or a data URL."
        raise bad(self.url, text, f"内容不是图片，而是 {what}{declared}，请提供图片文件本身的地址或 data URL")


# ---- bodies


def addresses(body: Json) -> Iterator[str]:
    """The addresses of images in a chat, in order, as often as they are named."""
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if url := _address(part):
                yield url


def _address(part: Any) -> str:
    image: Any = part.get("image_url") if isinstance(part, dict) else None
    url = image.get("url") if isinstance(image, dict) else image
    return url if isinstance(url, str) and url[:8].lower().startswith(("http://", "https://")) else ""


def replaced(body: Json, files: Mapping[str, DataUrl]) -> Json:
    return body | {"messages": [_message(message, files) for message in body["messages"]]}


def _message(message: Any, files: Mapping[str, DataUrl]) -> Any:
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list) or not any(map(_address, content)):
        return message
    return message | {"content": [_part(part, files) for part in content]}


def _part(part: Any, files: Mapping[str, DataUrl]) -> Any:
    url = _address(part)
    if not url:
        return part
    image = part["image_url"]
    return part | {"image_url": {**image, "url": files[url]} if isinstance(image, dict) else files[url]}


# ---- refusals


def bad(url: str, why: str, zh: str = "", code: str = "invalid_image_url") -> Refused:
    """The refusal of one image. The query of its address is left out: it may hold a signature."""
    place = url.partition("?")[0][:200]
    text = f"The image at {place} could not be fetched: {why}"
    return Refused(400, text, code, zh=f"无法获取图片 {place}：{zh or why}", param="messages")


def too_many(count: int, most: int) -> Refused:
    text = f"The request names {count} images by address; at most {most} are fetched. Send fewer, or send them as data URLs."
    zh = f"该请求以地址引用了 {count} 个图片，最多 {most} 个，请减少数量或改用 data URL"
    return Refused(400, text, "too_many_images", zh=zh, param="messages")


def megabytes(size: int) -> str:
    return f"{size / (1 << 20):g}"
