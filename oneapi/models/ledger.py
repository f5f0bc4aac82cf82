"""The ledger: every movement of every balance, and the leases that workers hold on balances and token budgets.

A balance is users.quota plus what is leased and not yet spent: sum(ledger.amount) = quota + sum(lease.amount - lease.spent).
"""

from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from oneapi.models.base import Base, Count, Id


class Entry(Base):
    """`amount` is signed quota: negative for what was consumed. `written_off` is what a request cost beyond the balance."""

    __tablename__ = "ledger"
    __table_args__ = (
        Index("idx_ledger_user", "user_id", "id"),
        {"sqlite_autoincrement": True, "mysql_charset": "utf8mb4"},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    request_id: Mapped[str] = mapped_column(String(64), unique=True)  # also of top-ups: their idempotency key
    created_at: Mapped[int] = mapped_column(Count)
    kind: Mapped[str] = mapped_column(String(16))  # opening, consume, topup, redeem, gift, adjust
    user_id: Mapped[int] = mapped_column(Count)
    token_id: Mapped[int] = mapped_column(Count, default=0)
    channel_id: Mapped[int] = mapped_column(Count, default=0)
    amount: Mapped[int] = mapped_column(Count)
    written_off: Mapped[int] = mapped_column(Count, default=0)
    actor_id: Mapped[int] = mapped_column(Count, default=0)
    note: Mapped[str] = mapped_column(String(255), default="")


class Lease(Base):
    """A slice of a user's balance or a token's budget that one worker may spend from memory."""

    __tablename__ = "leases"
    __table_args__ = (
        UniqueConstraint("worker", "kind", "owner_id", "serial", name="uni_leases_worker_owner"),
        Index("idx_leases_owner", "kind", "owner_id"),
        {"sqlite_autoincrement": True, "mysql_charset": "utf8mb4"},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    worker: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(8))  # user or token
    owner_id: Mapped[int] = mapped_column(Count)
    serial: Mapped[int] = mapped_column(Count)  # counts the leases of one worker
    amount: Mapped[int] = mapped_column(Count)
    spent: Mapped[int] = mapped_column(Count, default=0)
    created_at: Mapped[int] = mapped_column(Count)


class Worker(Base):
    """A process that serves; its leases are taken back when it stops renewing `alive_at` (UTC seconds)."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    host: Mapped[str] = mapped_column(String(191), default="")
    pid: Mapped[int] = mapped_column(Count, default=0)
    version: Mapped[str] = mapped_column(String(32), default="")
    started_at: Mapped[int] = mapped_column(Count)
    alive_at: Mapped[int] = mapped_column(Count)
