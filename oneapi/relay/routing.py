"""Choose a channel from candidates. Pure: chance comes in as a number, time as what rests."""

from collections.abc import Callable, Collection

from oneapi.state import Lane, Tiers


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
        open_ = [
            (lane, weight) for lane, weight in zip(tier.lanes, tier.weights, strict=True) if lane.id not in tried and suits(lane)
        ]
        awake = [(lane, weight) for lane, weight in open_ if not resting(lane)]
        if awake:
            return pick(awake, chance)
        fallback = fallback or open_
    return pick(fallback, chance) if fallback else None


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
