"""Channel keys at rest: sealed when there is an ENCRYPTION_KEY, readable in code, never lost by a wrong key."""

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import servers

from oneapi import migrate
from oneapi.models import channel, sealed
from oneapi.models.channel import Channel
from oneapi.state import State

NOW = 1_700_000_000
FIRST, SECOND = "the first passphrase", "another passphrase"


@pytest.fixture(autouse=True)
def unsealed() -> Iterator[None]:
    yield
    sealed.use("")


class Store:
    """One database, opened with one ENCRYPTION_KEY after another."""

    def __init__(self, folder: Path):
        self.folder = folder

    def start(self, encryption_key: str, *, add: str = "") -> dict[str, tuple[str, ...]]:
        """Upgrade, perhaps add a channel of this name, and return the keys of every channel in use."""
        settings = servers.configured(self.folder, ENCRYPTION_KEY=encryption_key)
        with servers.opened(settings) as databases:
            migrate.upgrade(databases, settings, now=NOW)
            if add:
                with databases.transaction() as session:
                    session.add(Channel(name=add, type=1, key=f"sk-{add}", models="m", group="default"))
            state = State(settings, databases, clock=lambda: NOW)
            state.refresh(force=True)
            return {lane.name: lane.keys for lane in state.snapshot.lanes.values()}

    def stored(self) -> list[str]:
        opened = sqlite3.connect(self.folder / "one-api.db")
        found = [key for (key,) in opened.execute("SELECT key FROM channels ORDER BY id")]
        opened.close()
        return found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_a_key_is_sealed_on_disk_and_clear_in_code(store: Store) -> None:
    assert store.start(FIRST, add="one") == {"one": ("sk-one",)}
    (text,) = store.stored()
    assert text.startswith("enc:")
    assert "sk-one" not in text


def test_keys_that_were_there_before_are_sealed_at_the_next_start(store: Store) -> None:
    store.start("", add="one")
    assert store.stored() == ["sk-one"]
    assert store.start(FIRST) == {"one": ("sk-one",)}
    assert store.stored()[0].startswith("enc:")


def test_a_wrong_key_is_told_and_loses_and_disables_nothing(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.start(FIRST, add="one")
    before = store.stored()
    for wrong in (SECOND, ""):
        caplog.clear()
        with caplog.at_level(logging.ERROR):
            assert store.start(wrong) == {}
        assert "channel 1 is not used: its key was sealed with another ENCRYPTION_KEY" in caplog.text
    assert store.stored() == before
    settings = servers.configured(store.folder)
    with servers.opened(settings) as databases, databases.transaction() as session:
        row = channel.get(session, 1)
        assert (row.status, row.plain_key()) == (channel.Status.ENABLED, None)
        row.name = "renamed"  # changing something else leaves the sealed key alone
    assert store.start(FIRST) == {"renamed": ("sk-one",)}


def test_a_key_can_be_changed_while_nothing_stops(store: Store) -> None:
    store.start(FIRST, add="one")
    assert store.start(f"{SECOND},{FIRST}") == {"one": ("sk-one",)}
    assert store.start(SECOND) == {"one": ("sk-one",)}


def test_two_seals_of_one_text_differ() -> None:
    sealed.use(FIRST)
    assert sealed.seal("sk-one") != sealed.seal("sk-one")
    assert sealed.open_(sealed.seal("sk-一")) == "sk-一"
    assert sealed.seal("") == ""
