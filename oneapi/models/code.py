"""One-time codes: e-mail verification, password reset, OAuth state. Shared by all nodes; expired rows are swept."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from oneapi.models.base import Base, Count, LongText


class Code(Base):
    """`digest` is a SHA-256 of the secret, so that a look at the table gives nobody a code."""

    __tablename__ = "one_time_codes"

    purpose: Mapped[str] = mapped_column(String(32), primary_key=True)
    subject: Mapped[str] = mapped_column(String(191), primary_key=True)  # an e-mail address, a state, ...
    digest: Mapped[str] = mapped_column(String(64))
    data: Mapped[str | None] = mapped_column(LongText)
    expires_at: Mapped[int] = mapped_column(Count, index=True)
    attempts: Mapped[int] = mapped_column(Count, default=0)
