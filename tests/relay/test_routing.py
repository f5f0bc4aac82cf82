"""The choice of a channel, without a gateway around it."""

import random
from collections import Counter

import pytest

from oneapi import snapshot
from oneapi.relay import routing
from oneapi.snapshot import Lane


def lane(id: int, *, weight: int = 1, priority: int = 0) -> Lane:
    from oneapi import vendors

    return Lane(
        id=id, name=str(id), type=1, vendor=vendors.REGISTRY[1], base_url="", keys=("k",), config={}, models=frozenset({"m"}),
        groups=("default",), enabled=True, priority=priority, weight=weight, mapping={}, patterns=(), system_prompt="",
        parameters={}, proxy="",
    )  # fmt: skip


def choose(lanes: list[Lane], chance: random.Random, *, tried: tuple[int, ...] = (), rests: frozenset[int] = frozenset()) -> int:
    found = routing.choose(snapshot.tiers(lanes), tried, lambda x: x.id in rests, chance.random, lambda x: True)
    assert found is not None
    return found.id


def test_a_choice_among_ten_thousand_looks_at_a_few() -> None:
    tiers = snapshot.tiers([lane(id) for id in range(10_000)])
    looked: list[int] = []

    def resting(one: Lane) -> bool:
        looked.append(one.id)
        return False

    for _ in range(100):
        assert routing.choose(tiers, (), resting, random.Random(3).random, lambda x: True) is not None
    assert len(looked) == 100


@pytest.mark.parametrize("count", [4, 40])
def test_shares_follow_the_weights_of_those_that_are_fit(count: int) -> None:
    """Both in small tiers, where all are looked at, and in large ones, where a few are drawn."""
    chance, rests = random.Random(1), frozenset(range(0, count, 2))
    lanes = [lane(id, weight=1 + id % 4) for id in range(count)]
    drawn = Counter(choose(lanes, chance, rests=rests) for _ in range(8000))
    assert not drawn.keys() & rests
    heavy, light = (sum(n for id, n in drawn.items() if id % 4 == rest) for rest in (3, 1))
    assert 1.8 < heavy / light < 2.2  # weights 4 and 2


def test_the_last_one_that_is_fit_is_found_however_many_rest() -> None:
    lanes = [lane(id) for id in range(500)]
    assert choose(lanes, random.Random(2), rests=frozenset(range(499))) == 499
    assert choose(lanes, random.Random(2), tried=tuple(range(1, 500))) == 0


def test_a_weightless_lane_gets_nothing_beside_weighty_ones() -> None:
    lanes = [lane(id, weight=0 if id % 2 else 3) for id in range(40)]
    chance = random.Random(4)
    assert not any(choose(lanes, chance) % 2 for _ in range(500))
