"""What a worker holds of a balance or a token's budget, and what its requests have set aside of that. Pure bookkeeping."""

from dataclasses import dataclass, field

from gevent.event import Event
from gevent.lock import BoundedSemaphore


@dataclass(slots=True, eq=False)
class Purse:
    """One balance or budget as this worker holds it: `available` is leased, unspent and not reserved."""

    kind: str
    owner: int
    lease: int = 0
    available: int = 0
    beyond: int = 0  # of the balance, not leased by anybody when this worker last leased from it
    holders: int = 0  # reservations that are not settled and committed
    low: bool = False  # little is left: whatever is not reserved goes straight back
    used_at: float = 0.0
    lock: BoundedSemaphore = field(default_factory=BoundedSemaphore)
    freed: Event = field(default_factory=Event)


Rest = tuple[Purse, int, int]  # a purse, the lease and how much of it goes back


@dataclass(slots=True, eq=False)
class Hold:
    """A reservation of `amount` quota, from the user's balance and from the token's budget when it has one.

    It remembers the leases it was taken from: one that was taken back meanwhile pays nothing and gets nothing.
    """

    amount: int
    user: Purse | None
    token: Purse | None
    user_lease: int = 0
    token_lease: int = 0


class Purses(dict[tuple[str, int], Purse]):
    """All that this worker holds, by kind and owner."""

    def rests(self) -> list[Rest]:
        """What low purses hold and nobody reserved: it travels back with the next transaction."""
        rests = []
        for purse in self.values():
            if purse.low and purse.available > 0 and purse.lease:
                rests.append((purse, purse.lease, purse.available))
                purse.holders += 1  # so that nobody is refused while it is under way
                purse.available = 0
        return rests

    def forget(self, gone: set[int]) -> None:
        """Leases were taken back, and what we thought we had of them with them."""
        for purse in self.values() if gone else ():
            if purse.lease in gone:
                purse.lease, purse.available = 0, 0


def spend(purse: Purse | None, lease: int, held: int, cost: int) -> int:
    """How much of a cost the purse pays; what it cannot pay is debited directly by the transaction."""
    if purse is None:
        return 0
    current = purse.lease == lease
    if cost <= held:
        purse.available += held - cost if current else 0
        return cost
    more = min(cost - held, purse.available) if current else 0
    purse.available -= more
    return held + more
