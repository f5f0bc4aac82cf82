"""Job leases, so that one process runs a job at a time, and the last runs that the jobs page shows."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from oneapi.models.base import Base, Count, Id, LongText


class JobLease(Base):
    __tablename__ = "job_leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    worker: Mapped[str] = mapped_column(String(64), default="")
    until: Mapped[int] = mapped_column(Count, default=0)  # UTC seconds
    next_run: Mapped[int] = mapped_column(Count, default=0)


class JobRun(Base):
    """One run: `state` is running, done, failed or stopped; `progress` is a JSON object that the page reads while it runs."""

    __tablename__ = "job_runs"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), index=True)
    worker: Mapped[str] = mapped_column(String(64), default="")
    state: Mapped[str] = mapped_column(String(16), default="running")
    started_at: Mapped[int] = mapped_column(Count)
    ended_at: Mapped[int | None] = mapped_column(Count)
    alive_at: Mapped[int | None] = mapped_column(Count)
    stop_requested: Mapped[int] = mapped_column(Count, default=0)
    progress: Mapped[str | None] = mapped_column(LongText)
    error: Mapped[str | None] = mapped_column(LongText)
