"""What time it is at a channel's vendor: signatures are good for minutes, and a host's clock may be off by more."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime

from oneapi.wire import VendorError

LEAST = 30.0  # seconds of difference that no vendor minds; the header is in whole seconds and some time on the way


@contextmanager
def dated(headers: Mapping[str, str]) -> Iterator[None]:
    """A failure that an answer tells of carries the time at which it was told."""
    try:
        yield
    except VendorError as error:
        error.date = headers.get("date") or ""
        raise


class Clocks:
    """How far each channel's vendor is ahead of us, learned from answers that refuse our credentials."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ahead: dict[int, float] = {}

    def now(self, channel: int) -> float:
        """UTC seconds as the vendor counts them."""
        return self._clock() + self._ahead.get(channel, 0.0)

    def learned(self, channel: int, date: str) -> bool:
        """Whether a refusal's date tells of a difference that was not known yet: then it is worth another try."""
        try:
            theirs = parsedate_to_datetime(date).timestamp()
        except (TypeError, ValueError, OverflowError):
            return False
        if abs(theirs - self.now(channel)) < LEAST:
            return False
        self._ahead[channel] = theirs - self._clock()
        return True
