"""Tables and all SQL, one module per table. Every table is imported here, or it would not be created."""

from oneapi.models import ability, audit, channel, code, job, ledger, log, option, redemption, rollup, token, user, version
from oneapi.models.base import Base, Missing

__all__ = [
    "Base", "Missing", "ability", "audit", "channel", "code", "job", "ledger", "log", "option", "redemption", "rollup",
    "token", "user", "version",
]  # fmt: skip
