"""The generated price book: what it knows, whose price comes first, and that the command writes what is checked in."""

from pathlib import Path

import pytest

from oneapi.actions import pricebook
from oneapi.catalog import book, prices
from oneapi.catalog.prices import Overrides

MODERATION = ["omni-moderation-latest", "omni-moderation-2024-09-26", "text-moderation-stable", "text-moderation-007"]


@pytest.mark.parametrize("name", MODERATION)
@pytest.mark.parametrize("channel_type", [1, 3, 50])
def test_moderation_models_are_free(name: str, channel_type: int) -> None:
    found = prices.price(name, channel_type)
    assert found is not None and found.ratio == 0


@pytest.mark.parametrize(
    ("name", "channel_type", "dollars", "completion"),
    [
        ("amazon.nova-lite-v1:0", 33, 0.06, 4), ("us.amazon.nova-lite-v1:0", 33, 0.06, 4), ("voyage-3-lite", 50, 0.02, 1),
        ("sonar-pro", 50, 3, 5), ("muse-spark-1.2", 50, 1.25, 3.4),
    ],
)  # fmt: skip
def test_models_of_the_data_set_have_its_price(name: str, channel_type: int, dollars: float, completion: float) -> None:
    found = prices.price(name, channel_type)
    assert found is not None and prices.origin(name, channel_type) == "book"
    assert (found.ratio * 2, found.completion) == (pytest.approx(dollars), pytest.approx(completion))


def test_hand_checked_and_set_prices_come_before_the_book() -> None:
    assert prices.origin("gpt-4o-mini", 1) == prices.origin("llama3-8b-8192", 33) == "checked"
    assert prices.origin("sonar-pro", 50, Overrides(model={"sonar-pro": 9})) == "set"
    found = prices.price("sonar-pro", 50, Overrides(model={"sonar-pro": 9}))
    assert found is not None and (found.ratio, found.completion) == (9, 5)
    assert prices.origin("nobody-knows-it", 1) == ""


def test_long_prompts_have_their_own_price() -> None:
    tiered = [name for name, figures in book._book()["models"].items() if "above" in figures]
    found = next(price for name in tiered if (price := prices.from_book(name, 50)) is not None and price.above)
    assert found.at(found.above[0][0] + 1).ratio > found.ratio


def test_a_price_for_a_call_alone_is_a_price() -> None:
    found = prices.price("drawn-by-hand", 1, Overrides(classes={"drawn-by-hand": {"per_call": 20.0}}))
    assert found is not None and (found.ratio, found.per_call) == (0, 20)


def test_clauses_match_as_the_data_set_says() -> None:
    assert book.matches(["and", ["^", "Nova"], ["$", "v1:0"]], "nova-lite-v1:0")
    assert not book.matches(["or", ["=", "nova"], ["*", "pro"]], "nova-lite")
    assert book.matches(["~", r"-\d{4}$"], "nova-2026")


def test_the_command_writes_what_is_checked_in() -> None:
    """Whoever updates the data set regenerates the book: flask --app wsgi price-book."""
    assert pricebook.text(book.generated_on()) == Path(pricebook.PLACE).read_text(encoding="utf-8")


def test_every_price_of_the_book_can_be_read() -> None:
    names = [name for of in book._book()["providers"].values() for name in of["names"]] + list(book._book()["models"])
    assert len(names) > 3000
    for name in names:
        for channel_type in (*book.PROVIDERS, 50):
            figures = book.figures(name, channel_type)
            assert figures is None or prices.from_book(name, channel_type) is not None
