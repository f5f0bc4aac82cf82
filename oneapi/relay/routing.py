"""Choose a channel from candidates. Pure: chance comes in as a number, time as what rests."""

from bisect import bisect_right
from collections.abc import Callable, Collection

from oneapi.state import Lane, Tier, Tiers

MANY = 16  # in a tier of more lanes than this, a few are drawn before all are looked at
DRAWS = 4


def choose(
    tiers: Tiers,
    tried: Collection[int],
    resting: Callable[[Lane], bool],
    chance: Callable[[], float],
    suits: Callable[[Lane], bool],
) -> Lane | None:
    """The best tier's lane, by weight, that was not tried, does not rest and suits the call; None when there is none.

    When every lane rests, one of them is better than no answer: the best tier's is taken all the same.
    """
    fallback: list[tuple[Lane, int]] = []
    for tier in tiers:
        if not tried and len(tier.lanes) == 1 and not resting(tier.lanes[0]) and suits(tier.lanes[0]):
            return tier.lanes[0]
        if (drawn := draw(tier, tried, resting, chance, suits)) is not None:
            return drawn
        open_ = [
            (lane, weight) for lane, weight in zip(tier.lanes, tier.weights, strict=True) if lane.id not in tried and suits(lane)
        ]
        awake = [(lane, weight) for lane, weight in open_ if not resting(lane)]
        if awake:
            return pick(awake, chance)
        fallback = fallback or open_
    return pick(fallback, chance) if fallback else None


def draw(
    tier: Tier,
    tried: Collection[int],
    resting: Callable[[Lane], bool],
    chance: Callable[[], float],
    suits: Callable[[Lane], bool],
) -> Lane | None:
    """A fit lane of a large tier by weight, found without looking at the others; None when the few that were drawn do not fit.

    Drawing again when one does not fit gives every fit lane the share that it has among the fit.
    """
    if len(tier.lanes) <= MANY or not tier.running or not tier.running[-1]:
        return None
    for _ in range(DRAWS):
        lane = tier.lanes[bisect_right(tier.running, chance() * tier.running[-1])]
        if lane.id not in tried and not resting(lane) and suits(lane):
            return lane
    return None


def pick(weighted: list[tuple[Lane, int]], chance: Callable[[], float]) -> Lane:
    """One lane by weight; where only weightless ones are left they are equal."""
    total = sum(weight for _, weight in weighted)
    if not total:
        return weighted[int(chance() * len(weighted))][0]
    mark = chance() * total
    for lane, weight in weighted:
        mark -= weight
        if mark < 0:
            return lane
    return weighted[-1][0]
