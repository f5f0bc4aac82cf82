"""Limits on what is fetched for requests: downloads at a time and memory, of the process and of each account."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from gevent.event import Event
from gevent.lock import BoundedSemaphore

from oneapi.config import Config
from oneapi.relay.refusal import Refused

WAIT = 10.0  # seconds that a download waits for its turn and for memory
SHARE = 2 / 3  # of the memory, for one account


@dataclass(slots=True, eq=False)
class _Turn:
    owner: object
    size: int
    granted: bool = False
    event: Event = field(default_factory=Event)


class Memory:
    """Bytes that may be in use together. Those who wait get theirs in order.

    The last `reserve` bytes are for the owner that began to fetch first: it can finish, however much others hold and want more.
    """

    def __init__(self, most: int, reserve: int = 0):
        self.most, self.reserve, self.used = most, min(reserve, most), 0
        self._waiting: deque[_Turn] = deque()
        self._fetching: dict[object, None] = {}

    def begin(self, owner: object) -> None:
        self._fetching[owner] = None

    def end(self, owner: object) -> None:
        """The owner wants no more, and keeps what it has."""
        self._fetching.pop(owner, None)
        self._serve()

    def take(self, owner: object, size: int, seconds: float) -> bool:
        """Take bytes, waiting for them if need be; False when none became free in time."""
        if (not self._waiting or self._is_first(owner)) and self._fits(owner, size):
            self.used += size
            return True
        turn = _Turn(owner, size)
        self._waiting.append(turn)
        try:
            turn.event.wait(seconds)
        except BaseException:
            if turn.granted:
                self.give(size)
            raise
        finally:
            if not turn.granted:
                self._waiting.remove(turn)
                self._serve()
        return turn.granted

    def give(self, size: int) -> None:
        self.used -= size
        self._serve()

    def _is_first(self, owner: object) -> bool:
        return next(iter(self._fetching), None) is owner

    def _fits(self, owner: object, size: int) -> bool:
        return self.used + size <= self.most - (0 if self._is_first(owner) else self.reserve)

    def _serve(self) -> None:
        for turn in [turn for turn in self._waiting if self._is_first(turn.owner)]:
            if self._fits(turn.owner, turn.size):
                self._grant(turn)
        while self._waiting and self._fits(self._waiting[0].owner, self._waiting[0].size):
            self._grant(self._waiting[0])

    def _grant(self, turn: _Turn) -> None:
        self._waiting.remove(turn)
        self.used += turn.size
        turn.granted = True
        turn.event.set()


class Account:
    """The part of one account in the limits. It exists while the account has requests with media."""

    def __init__(self, fetches: int, memory: Memory):
        self.slots, self.memory, self.requests = BoundedSemaphore(fetches), memory, 0


class MediaLimits:
    """One per process."""

    def __init__(self, config: Config):
        self.files: int = config.user_content_max_files
        self.seconds: int = config.user_content_request_timeout
        self.fetches_per_user: int = config.user_content_fetches_per_user
        most = config.user_content_memory_mb << 20
        self.share = int(most * SHARE)
        # Each byte that is sent takes up to 8/3 bytes: of base64, kept for a retry, and of the request that carries it.
        self.request = min(config.user_content_max_mb << 20, self.share * 3 // 8)
        self.reserve = self.request * 8 // 3
        self.memory = Memory(most, self.reserve)
        self.file = min(config.user_content_max_file_mb << 20, self.request)
        self.slots = BoundedSemaphore(config.user_content_fetches)
        self.accounts: dict[int, Account] = {}

    def enter(self, user: int) -> Account:
        """The account's part of the limits, for one request; `leave` must follow."""
        account = self.accounts.get(user)
        if account is None:
            account = self.accounts[user] = Account(self.fetches_per_user, Memory(self.share, self.reserve))
        account.requests += 1
        return account

    def leave(self, user: int) -> None:
        account = self.accounts[user]
        account.requests -= 1
        if not account.requests:
            del self.accounts[user]

    @contextmanager
    def slot(self, account: Account, end: float) -> Iterator[None]:
        """One of the downloads that may run at a time; raises Refused when none became free in time."""
        if not account.slots.acquire(timeout=_seconds(end)):
            text = f"Your account has {self.fetches_per_user} downloads of images running, as many as it may."
            raise busy(429, text, f"您的账户正在下载 {self.fetches_per_user} 个图片，已达上限")
        try:
            if not self.slots.acquire(timeout=_seconds(end)):
                raise busy(503, "The gateway is downloading as many images as it may.", "网关正在下载的图片数量已达上限")
            try:
                yield
            finally:
                self.slots.release()
        finally:
            account.slots.release()

    @contextmanager
    def fetching(self, account: Account, owner: object) -> Iterator[None]:
        """The time in which a request fetches; `take` is for it alone."""
        account.memory.begin(owner)
        self.memory.begin(owner)
        try:
            yield
        finally:
            account.memory.end(owner)
            self.memory.end(owner)

    def take(self, account: Account, owner: object, size: int, end: float) -> None:
        """Count memory as used by an account; raises Refused when none became free in time."""
        if not account.memory.take(owner, size, _seconds(end)):
            text = "Images of your account's other requests take all the memory that they may."
            raise busy(429, text, "您的账户其他请求的图片已占满可用内存")
        taken = False
        try:
            taken = self.memory.take(owner, size, _seconds(end))
            if not taken:
                text = "Images of running requests take all the memory that the gateway has for them."
                raise busy(503, text, "网关用于图片的内存已满")
        finally:
            if not taken:
                account.memory.give(size)

    def give(self, account: Account, size: int) -> None:
        account.memory.give(size)
        self.memory.give(size)


def _seconds(end: float) -> float:
    return max(0.0, min(WAIT, end - monotonic()))


def busy(status: int, text: str, zh: str) -> Refused:
    text = f"{text} Try again in a few seconds, or send the images as data URLs."
    return Refused(status, text, "images_busy", zh=f"{zh}，请稍后再试，或以 data URL 发送图片", retry_after=5)
