"""The lists of models a channel type offers, and who owns a model."""

import pytest

from oneapi.catalog import load, models, prices

UNPRICED = {20: {"openrouter/auto"}, 30: set(models.channel_models(30))}  # depends on the model; the operator's own machine


def test_every_proposed_model_has_a_price():
    for channel_type, names in models.DEFAULTS.items():
        missing = {name for name in names if prices.model_ratio(name, channel_type) is None}
        assert missing == UNPRICED.get(channel_type, set()), channel_type


def test_every_channel_type_has_a_list_and_only_the_open_ones_an_empty_one():
    assert sorted(models.DEFAULTS) == list(range(1, 52))
    assert {key for key, names in models.DEFAULTS.items() if not names} == {34, 43}
    assert models.channel_models(99) == ()


def test_a_model_is_owned_by_the_first_type_that_lists_it():
    assert models.owned_by("gpt-4o") == "openai"
    assert models.owned_by("claude-3-opus-20240229") == "anthropic"
    assert models.owned_by("gemini-pro") == "google gemini"
    assert models.owned_by("my-own") == "custom"
    assert list(models.OWNERS)[0] == "gpt-3.5-turbo"


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"owner": "o", "models": ["a"], "added": ["a"]}, "lists 'a' twice"),
        ({"owner": "", "models": [], "added": []}, "needs an owner"),
        ({"owner": "o", "models": [" a"], "added": []}, "a name is blank"), ({"same_as": 7}, "has no list"),
    ],
)  # fmt: skip
def test_a_wrong_list_is_refused(entry, complaint):
    with pytest.raises(load.CatalogError, match=complaint):
        models.check({"types": {"1": entry}})
