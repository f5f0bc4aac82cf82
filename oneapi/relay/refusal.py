"""Refused: our own no to a client. Never retried, never held against a channel."""


class Refused(Exception):  # noqa: N818  # reads as what it is: raise Refused(403, ...)
    """`status` and `code` are the client's; `retry_after` is in seconds; `message` says what to mend."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str = "",
        *,
        type: str = "",
        param: str | None = None,
        retry_after: float | None = None,
    ):
        super().__init__(message)
        self.status, self.message, self.code, self.type, self.param = status, message, code, type, param
        self.retry_after = retry_after
