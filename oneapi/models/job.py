"""Job leases, so that one process runs a job at a time, and the last runs that the jobs page shows."""

from collections.abc import Iterable

from sqlalchemy import String, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

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


def take(session: Session, name: str, worker: str, *, now: int, seconds: int, due: bool) -> bool:
    """Let this process run a job for a while. False when another one runs it or, if asked for, it is not due yet."""
    free = [JobLease.name == name, JobLease.until <= now]
    if due:
        free.append(JobLease.next_run <= now)
    mine = update(JobLease).where(*free).values(worker=worker, until=now + seconds)
    return session.execute(mine).rowcount == 1  # type: ignore[attr-defined]


def ensure(session: Session, name: str, *, next_run: int) -> None:
    """Make a job's lease row if there is none; its first run is due at `next_run`."""
    if session.get(JobLease, name) is not None:
        return
    try:
        with session.begin_nested():
            session.add(JobLease(name=name, next_run=next_run))
            session.flush()
    except IntegrityError:
        return  # another process was faster


def release(session: Session, name: str, worker: str, *, next_run: int) -> None:
    ended = update(JobLease).where(JobLease.name == name, JobLease.worker == worker)
    session.execute(ended.values(worker="", until=0, next_run=next_run))


def plan(session: Session, name: str, *, before: int) -> None:
    """Bring the next run of a job forward, e.g. because its period became shorter."""
    session.execute(update(JobLease).where(JobLease.name == name, JobLease.next_run > before).values(next_run=before))


def renew(session: Session, run_id: int, name: str, worker: str, *, now: int, seconds: int, progress: str) -> bool:
    """Say that a run goes on. False when it should stop: somebody asked, or the lease went to another process."""
    mine = update(JobLease).where(JobLease.name == name, JobLease.worker == worker).values(until=now + seconds)
    held = session.execute(mine).rowcount == 1  # type: ignore[attr-defined]
    session.execute(update(JobRun).where(JobRun.id == run_id).values(alive_at=now, progress=progress))
    return held and not session.scalar(select(JobRun.stop_requested).where(JobRun.id == run_id))


def finish(session: Session, run_id: int, state: str, *, now: int, progress: str, error: str = "") -> None:
    ended = update(JobRun).where(JobRun.id == run_id, JobRun.state == "running")
    session.execute(ended.values(state=state, ended_at=now, alive_at=now, progress=progress, error=error or None))


def request_stop(session: Session, name: str) -> bool:
    """Ask the running run of a job to stop; False when none runs."""
    running = update(JobRun).where(JobRun.name == name, JobRun.state == "running").values(stop_requested=1)
    return session.execute(running).rowcount > 0  # type: ignore[attr-defined]


def bury(session: Session, *, now: int, dead_before: int | None = None, name: str = "") -> int:
    """End the runs whose process went away without a word: those silent for long, or those of a job whose lease one holds."""
    lost = update(JobRun).where(JobRun.state == "running")
    lost = lost.where(JobRun.name == name) if name else lost
    lost = lost if dead_before is None else lost.where(JobRun.alive_at < dead_before)
    return session.execute(lost.values(state="stopped", ended_at=now, error="The process that ran it ended.")).rowcount  # type: ignore[attr-defined]


def last_runs(session: Session, *, limit: int = 50, name: str = "") -> list[JobRun]:
    query = select(JobRun).where(JobRun.name == name) if name else select(JobRun)
    return list(session.scalars(query.order_by(JobRun.id.desc()).limit(limit)))


def leases(session: Session) -> dict[str, JobLease]:
    return {row.name: row for row in session.scalars(select(JobLease))}


def forget_runs(session: Session, *, before: int) -> int:
    return session.execute(delete(JobRun).where(JobRun.started_at < before, JobRun.state != "running")).rowcount  # type: ignore[attr-defined]


def forget(session: Session, run_id: int) -> None:
    session.execute(delete(JobRun).where(JobRun.id == run_id))


def running(session: Session, names: Iterable[str]) -> JobRun | None:
    """The newest running run of any of these jobs."""
    query = select(JobRun).where(JobRun.name.in_(list(names)), JobRun.state == "running")
    return session.scalar(query.order_by(JobRun.id.desc()).limit(1))
