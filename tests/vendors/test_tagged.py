"""Thoughts between tags are told apart from what is said, wherever the stream is cut."""

from itertools import combinations

import pytest

from oneapi.vendors.tagged import Splitter

# What a model writes, what it thought, what it said.
TEXTS = [
    ("<t>Easy.</t>\nParis.", "Easy.", "Paris."), ("Paris.", "", "Paris."), ("", "", ""), ("<t>Easy", "Easy", ""),
    ("<t></t>Paris.", "", "Paris."), ("<", "", "<"), ("<t>a < b</ t></t>c</t>", "a < b</ t>", "c</t>"),
    (" <t>x</t>", "", " <t>x</t>"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "thought", "said"), TEXTS)
def test_every_cut_gives_the_same(text: str, thought: str, said: str) -> None:
    for cuts in [*combinations(range(len(text) + 1), 1), *combinations(range(len(text) + 1), 2)]:
        splitter = Splitter("<t>", "</t>")
        edges = [0, *cuts, len(text)]
        told = [splitter.feed(text[start:end]) for start, end in zip(edges, edges[1:], strict=False)] + [splitter.end()]
        assert ("".join(piece[0] for piece in told), "".join(piece[1] for piece in told)) == (thought, said), cuts


def test_nothing_is_held_longer_than_it_must_be() -> None:
    splitter = Splitter("<t>", "</t>")
    assert [splitter.feed(piece) for piece in ("<t>a", "b<", "/t>c")] == [("a", ""), ("b", ""), ("", "c")]
