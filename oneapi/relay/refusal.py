"""Refused: our own no to a client. Never retried, never held against a channel."""

from collections.abc import Sequence


class Refused(Exception):  # noqa: N818  # reads as what it is: raise Refused(403, ...)
    """`status` and `code` are the client's; `message` says what to mend, `zh` the same for those who read Chinese.

    `retry_after` is in seconds; `headers` tell more about a limit.
    """

    def __init__(
        self, status: int, message: str, code: str = "", *, zh: str = "", type: str = "", param: str | None = None,
        retry_after: float | None = None, headers: Sequence[tuple[str, str]] = (),
    ):  # fmt: skip
        super().__init__(message)
        self.status, self.message, self.code, self.zh = status, message, code, zh or message
        self.type, self.param, self.retry_after, self.headers = type, param, retry_after, headers


def away() -> Refused:
    """The database does not answer, and without it nobody is served whose money is not at hand."""
    return Refused(503, "The gateway's database does not answer. Try again soon.", "database_unavailable", retry_after=5)


def full() -> Refused:
    """Neither the database nor the journal has room for a charge."""
    text = "The gateway cannot store what this request costs: its disk is full or not writable. Try again later."
    return Refused(503, text, "storage_full", zh="网关无法保存本次请求的费用：磁盘已满或不可写，请稍后再试", retry_after=30)


def out_of_quota(message: str, zh: str = "") -> Refused:
    """Return the refusal of a request for which a balance or an API key's budget is not enough, as OpenAI words it.

    https://platform.openai.com/docs/guides/error-codes: SDKs repeat 429 unless `x-should-retry` forbids it.
    """
    headers = (("x-should-retry", "false"),)
    return Refused(429, message, "insufficient_quota", zh=zh, type="insufficient_quota", headers=headers)
