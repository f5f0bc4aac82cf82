"""The SQL of leases: slices of balances and budgets that workers hold, and of the workers that hold them."""

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from oneapi.models.ledger import Lease, Worker
from oneapi.models.token import Token
from oneapi.models.user import User

DEAD_SECONDS = 45  # a worker that has not said it lives for this long is dead

OWNERS: dict[str, tuple[Any, Any]] = {"user": (User, User.quota), "token": (Token, Token.remain_quota)}


def lease(
    session: Session, worker: str, kind: str, owner: int, held: int, more: int, least: int, slice: int, ample: int, now: int
) -> tuple[int, bool, int, int]:
    """Lease at least `more` quota if there is as much: (how much was got, whether little is left, id of the lease, what is left).

    From an ample balance a whole slice is taken; from a small one just what is needed, or all that is left of it if that is
    at least `least`: whoever took what does not help him would keep others from being helped.
    """
    model, column = OWNERS[kind]
    for _ in range(20):
        left = session.scalar(select(column).where(model.id == owner)) or 0
        amount = min(max(more, left // slice), left) if left > more * ample else min(more, left)
        if amount < max(least, 1):
            return 0, True, held, left
        # Leases before balances, as settlements do it: whoever locks rows in another order may meet them in a deadlock.
        if held and not _grow(session, held, amount):
            held = 0
        taken = update(model).where(model.id == owner, column >= amount).values({column: column - amount})
        if session.execute(taken, execution_options={"synchronize_session": False}).rowcount:  # type: ignore[attr-defined]
            return amount, left <= more * ample, held or _new(session, worker, kind, owner, amount, now), left - amount
        if held:
            _grow(session, held, -amount)
    return 0, True, held, 0


def _grow(session: Session, held: int, amount: int) -> bool:
    grown = update(Lease).where(Lease.id == held).values(amount=Lease.amount + amount)
    return bool(session.execute(grown, execution_options={"synchronize_session": False}).rowcount)  # type: ignore[attr-defined]


def _new(session: Session, worker: str, kind: str, owner: int, amount: int, now: int) -> int:
    serial = (session.scalar(select(func.max(Lease.serial)).where(Lease.worker == worker)) or 0) + 1
    row = Lease(worker=worker, kind=kind, owner_id=owner, serial=serial, amount=amount, spent=0, created_at=now)
    session.add(row)
    session.flush()
    return row.id


def leased_by_others(session: Session, worker: str, kind: str, owner: int) -> bool:
    """Whether other workers hold something of this balance that may come back."""
    held = select(Lease.id).where(Lease.kind == kind, Lease.owner_id == owner, Lease.worker != worker, Lease.amount > Lease.spent)
    return session.scalar(held.limit(1)) is not None


def of(session: Session, worker: str, *, before: int | None = None) -> set[int]:
    """The ids of a worker's leases, or of those that it got before a time."""
    mine = select(Lease.id).where(Lease.worker == worker)
    return set(session.scalars(mine if before is None else mine.where(Lease.created_at < before)))


def give_back(session: Session, id: int) -> None:
    """End one lease and credit what it has not spent."""
    _end(session, [id])


def _end(session: Session, ids: Iterable[int]) -> int:
    ended = 0
    for id in sorted(ids):
        for _ in range(20):
            row = session.execute(
                select(Lease.kind, Lease.owner_id, Lease.amount, Lease.spent).where(Lease.id == id)
            ).one_or_none()
            if row is None:
                break
            gone = delete(Lease).where(Lease.id == id, Lease.spent == row.spent, Lease.amount == row.amount)
            if session.execute(gone, execution_options={"synchronize_session": False}).rowcount:  # type: ignore[attr-defined]
                model, column = OWNERS[row.kind]
                credit = update(model).where(model.id == row.owner_id).values({column: column + (row.amount - row.spent)})
                session.execute(credit, execution_options={"synchronize_session": False})
                ended += 1
                break
    return ended


def beat(session: Session, worker: str, host: str, pid: int, version: str, now: int) -> None:
    """Say that a worker lives."""
    alive = update(Worker).where(Worker.id == worker).values(alive_at=now)
    if not session.execute(alive).rowcount:  # type: ignore[attr-defined]
        session.add(Worker(id=worker, host=host[:191], pid=pid, version=version, started_at=now, alive_at=now))


def sign_off(session: Session, worker: str) -> None:
    _end(session, of(session, worker))
    session.execute(delete(Worker).where(Worker.id == worker))


def sweep(session: Session, host: str, runs: Callable[[int], bool], owes: Callable[[str], bool], now: int) -> int:
    """End the leases of workers that are gone: on this host by their process, everywhere by their silence.

    A process that runs proves nothing by itself: in containers the next one often has the number of the last. One that
    `owes`, by its id, keeps what it leased until the charges it left behind are written.
    """
    workers = session.execute(select(Worker.id, Worker.host, Worker.pid, Worker.alive_at)).all()
    gone = [w.id for w in workers if w.alive_at < now - DEAD_SECONDS or (w.host == host[:191] and not runs(w.pid))]
    dead = [id for id in gone if not owes(id)]
    known = [w.id for w in workers if w.id not in dead]
    orphans = select(Lease.id).where(or_(Lease.worker.in_(dead), Lease.worker.not_in(known)), Lease.created_at < now - 1)
    ended = _end(session, session.scalars(orphans).all())
    if dead:
        session.execute(delete(Worker).where(Worker.id.in_(dead)))
    return ended
