"""The channels in memory: renewed piece by piece, and what did not change is taken over."""

import random
from collections.abc import Callable
from typing import Any

import gevent
from sqlalchemy import event, insert

from oneapi import snapshot
from oneapi.models import version
from oneapi.models.channel import Channel
from oneapi.state import State

MODELS = ("gpt-4o", "gpt-4o-mini", "o3", "o4-mini")


def stored(id: int, **values: Any) -> dict[str, Any]:
    return {
        "id": id, "type": 1, "key": "sk-vendor", "status": 1, "name": f"channel {id}", "weight": 0, "priority": 0,
        "models": "gpt-4o,gpt-4o-mini", "group": "default",
    } | values  # fmt: skip


def fill(state: State, count: int) -> None:
    with state.databases.transaction() as session:
        session.execute(insert(Channel), [stored(id) for id in range(1, count + 1)])
        version.bump(session, "channels")
    state.refresh()


def shown(shot: snapshot.Snapshot) -> dict[Any, Any]:
    """Everything that requests look at, as plain values."""
    lanes = {id: (lane.name, lane.keys, lane.models, lane.groups, lane.enabled) for id, lane in shot.lanes.items()}
    tiers = {
        place: [([lane.id for lane in tier.lanes], tier.weights, tier.running) for tier in found]
        for place, found in shot.candidates.items()
    }
    return {"lanes": lanes, "tiers": tiers, "models": shot.group_models}


def test_only_a_changed_channel_is_made_anew(state: State) -> None:
    fill(state, 50)
    before = dict(state.snapshot.lanes)
    with state.databases.transaction() as session:
        session.get(Channel, 7).name = "renamed"  # type: ignore[union-attr]
        version.bump(session, "channels")
    state.refresh()
    after = state.snapshot.lanes
    assert [id for id in after if after[id] is not before[id]] == [7]
    assert after[7].name == "renamed"
    assert after[7] in state.snapshot.candidates["default", "gpt-4o"][0].lanes


def test_changes_in_any_order_give_what_a_fresh_start_gives(state: State) -> None:
    fill(state, 30)
    chance = random.Random(5)
    for _ in range(40):
        with state.databases.transaction() as session:
            for _ in range(chance.randrange(1, 4)):
                id = chance.randrange(1, 40)
                row = session.get(Channel, id)
                values = {
                    "status": chance.choice((1, 1, 2, 3)), "models": ",".join(chance.sample(MODELS, chance.randrange(1, 4))),
                    "group": chance.choice(("default", "vip", "default,vip")), "priority": chance.randrange(3),
                    "weight": chance.randrange(4), "type": chance.choice((1, 14, 36, 9999)),
                }  # fmt: skip
                if row is None:
                    session.add(Channel(**stored(id, **values)))
                elif chance.random() < 0.3:
                    session.delete(row)
                else:
                    for name, value in values.items():
                        setattr(row, name, value)
                session.flush()
            version.bump(session, "channels")
        state.refresh()
        fresh = State(state.config, state.databases)
        fresh.refresh(force=True)
        assert shown(state.snapshot) == shown(fresh.snapshot)


def test_many_that_look_at_once_ask_the_database_once(state: State) -> None:
    """Requests for a model that nobody has are not one question each."""
    questions: list[str] = []
    event.listen(state.databases.engine, "before_cursor_execute", lambda _c, _k, asked, *_: questions.append(asked))
    state.refresh()
    alone = len(questions)
    with state._refreshing:  # a look is under way when they come
        waiting = [gevent.spawn(state.refresh) for _ in range(50)]
        gevent.sleep(0)
        with state.databases.transaction() as session:
            session.execute(insert(Channel), [stored(1)])
            version.bump(session, "channels")
        questions.clear()
    gevent.joinall(waiting, raise_error=True)
    assert 1 in state.snapshot.lanes
    assert len(questions) <= alone + 2, questions


def test_requests_have_their_turn_while_channels_are_read(state: State) -> None:
    """Whoever waits for a timer or a socket gets on in the middle of a refresh; how often depends on the machine."""
    fill(state, 60 * snapshot.PIECE)
    turns: list[bool] = []

    def ask() -> None:
        while True:
            gevent.sleep(0.0001)
            turns.append(state.snapshot.lanes[1].weight == 5)

    with state.databases.transaction() as session:
        session.get(Channel, 1).weight = 5  # type: ignore[union-attr]
        version.bump(session, "channels")
    asking = gevent.spawn(ask)
    gevent.sleep(0)
    state.refresh()
    during = turns.count(False)
    asking.kill()
    assert during >= 3 and state.snapshot.lanes[1].weight == 5


def test_names_are_held_once(state: State, channel: Callable[..., int]) -> None:
    first, second = channel(models="".join(["a-", "model"])), channel(models="".join(["a", "-model"]))
    (one,), (other,) = (state.snapshot.lanes[id].models for id in (first, second))
    assert one is other
