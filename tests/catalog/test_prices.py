"""What a model costs: lookup order, rules, today's prices, corrections, and that a wrong data file is refused in words."""

import pytest

from oneapi.catalog import load, prices
from oneapi.catalog.prices import Overrides


@pytest.mark.parametrize(
    ("name", "channel_type", "ratio", "completion"),
    [
        ("gpt-4o-mini", 1, 0.075, 4), ("gpt-3.5-turbo", 1, 0.25, 3), ("gpt-4", 1, 15, 2), ("gpt-4-turbo-preview", 1, 5, 3),
        ("gpt-3.5-turbo-1106", 1, 0.5, 2), ("gpt-3.5-turbo-16k", 1, 1.5, 4 / 3), ("chatgpt-4o-latest", 1, 2.5, 3),
        ("claude-2.1", 14, 4, 3), ("claude-3-opus-20240229", 14, 7.5, 5), ("dall-e-3", 1, 20, 1), ("whisper-1", 1, 15, 0),
        ("meta/llama-2-70b", 46, 0.325, 2.75 / 0.65), ("llama3-8b-8192", 33, 0.15, 2), ("llama3-8b-8192", 29, 0.025, 1.6),
        ("openai/gpt-4o", 20, 1.25, 4), ("anthropic/claude-3.5-sonnet:beta", 20, 1.5, 5),
        ("deepseek/deepseek-r1:free", 20, 0, 1), ("gemini-3.6-flash", 24, 0.375, 5),
        ("qwen-max-internet", 17, 2.4 / 14, 4), ("command-r-plus-internet", 35, 1.25, 1),
        ("gpt-4.1", 1, 1, 4), ("gpt-5", 1, 0.625, 8), ("o3", 1, 1, 4), ("o4-mini", 1, 0.55, 4), ("claude-sonnet-4-5", 14, 1.5, 5),
        ("gemini-2.5-flash", 24, 0.15, 25 / 3), ("claude-3-5-sonnet@20240620", 42, 1.5, 5), ("kimi-k2.6", 25, 0.475, 4 / 0.95),
        ("ERNIE-4.0-8K", 15, 0.12 * 500 / 7, 1), ("deepl-zh", 38, 12.5, 1),
    ],
)  # fmt: skip
def test_a_built_in_model_costs_what_its_vendor_asks(name, channel_type, ratio, completion):
    assert prices.model_ratio(name, channel_type) == pytest.approx(ratio)
    assert prices.completion_ratio(name, channel_type) == pytest.approx(completion)


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("gpt-3.5-mine-0125", 3), ("gpt-3.5-mine", 4 / 3), ("gpt-4-mine", 2), ("gpt-4-mine-preview", 3), ("gpt-4o-mine", 4),
        ("gpt-4.1-mine", 4), ("gpt-5-mine", 8), ("o1-mine", 4), ("o3-mine", 4), ("claude-3-mine", 5), ("claude-2-mine", 3),
        ("mistral-mine", 3), ("gemini-9-mine", 4), ("gemini-1.0-mine", 3), ("deepseek-mine", 2), ("mine", 1),
        ("llama2-70b-4096", 1.25),
    ],
)  # fmt: skip
def test_a_name_without_a_completion_ratio_gets_the_one_of_its_family(name, factor):
    assert prices.completion_ratio(name, 1) == pytest.approx(factor)


def test_a_model_without_a_price_has_none_rather_than_a_guess():
    assert prices.model_ratio("nobody-knows-it", 1) is None
    assert prices.price("nobody-knows-it", 1) is None
    assert prices.price("openrouter/auto", 20) is None


def test_a_key_with_a_channel_type_comes_before_the_bare_name_and_settings_before_built_ins():
    set_ = Overrides(model={"llama3-8b-8192": 7, "gpt-4": 9, "gpt-4(3)": 8}, completion={"gpt-4": 6, "gpt-4(3)": 5})
    assert prices.model_ratio("gpt-4", 1, set_) == 9
    assert prices.model_ratio("gpt-4", 3, set_) == 8
    assert prices.model_ratio("llama3-8b-8192", 29, set_) == 7
    assert prices.model_ratio("llama3-8b-8192", 33, set_) == 0.15  # the built-in price of that type outranks a bare name
    assert (prices.completion_ratio("gpt-4", 1, set_), prices.completion_ratio("gpt-4", 3, set_)) == (6, 5)


def test_the_internet_suffix_is_dropped_from_completion_ratios_of_qwen_only():
    set_ = Overrides(completion={"qwen-max": 2, "command-r": 2})
    assert prices.completion_ratio("qwen-max-internet", 17, set_) == 2
    assert prices.completion_ratio("command-r-internet", 35, set_) == 1


def test_a_surcharge_on_the_ratio_raises_every_class_with_it():
    plain, dearer = prices.price("gpt-5", 1), prices.price("gpt-5", 1, Overrides(model={"gpt-5": 1.25}))
    assert plain and dearer
    assert (plain.ratio, plain.cached) == (0.625, 0.0625)
    assert (dearer.ratio, dearer.cached, dearer.completion) == (1.25, 0.125, 8)


def test_a_class_set_by_hand_replaces_the_built_in_one():
    price = prices.price("gpt-5", 1, Overrides(classes={"gpt-5": {"cached": 0.5, "nonsense": 1}}))
    assert price and (price.cached, price.ratio) == (0.5, 0.625)


def test_a_free_model_given_a_ratio_is_priced_by_it_alone():
    price = prices.price("glm-4-flash", 16, Overrides(model={"glm-4-flash": 0.5}))
    assert price and price.ratio == 0.5


@pytest.mark.parametrize(("tokens", "ratio", "completion"), [(1, 0.625, 8), (200_000, 0.625, 8), (200_001, 1.25, 6)])
def test_a_long_prompt_is_priced_by_its_tier(tokens, ratio, completion):
    price = prices.price("gemini-2.5-pro", 24)
    assert price and (price.at(tokens).ratio, price.at(tokens).completion) == (ratio, completion)


def test_a_completion_ratio_set_by_hand_holds_in_every_tier():
    price = prices.price("gemini-2.5-pro", 24, Overrides(completion={"gemini-2.5-pro": 2}))
    assert price and price.at(300_000).completion == 2


DECEMBER, NEW_YEAR = 1796083200, 1798761600  # 2026-12-01 and 2027-01-01


@pytest.mark.parametrize(("moment", "ratio", "cached"), [(NEW_YEAR - 1, 0.375, 0.0375), (NEW_YEAR, 0.75, 0.075)])
def test_an_announced_price_holds_from_its_day(moment, ratio, cached):
    price = prices.price("gemini-3.6-flash", 24)
    assert price and (price.on(moment).ratio, price.on(moment).cached, price.on(moment).completion) == (ratio, cached, 5)


@pytest.mark.parametrize(
    ("hour", "ratio"), [(0, 0.075), (0.99, 0.075), (1, 0.15), (3.99, 0.15), (4, 0.075), (6, 0.15), (9.9, 0.15),
                        (10, 0.075), (23.9, 0.075)]
)  # fmt: skip
def test_a_busy_hour_costs_more_every_day(hour, ratio):
    price = prices.price("deepseek-v4-flash", 36)
    assert price
    for day in (20000, 20777):
        found = price.on(day * 86400 + hour * 3600)
        assert (found.ratio, found.completion) == (pytest.approx(ratio), pytest.approx(4))
    assert prices.price("deepseek-v4-flash", 36, Overrides(model={"deepseek-v4-flash": 1})).on(2 * 3600).ratio == 1
    finer = prices.price("deepseek-v4-flash", 36, Overrides(classes={"deepseek-v4-flash": {"cached": 0.5}}))
    assert [(finer.on(t).ratio, finer.on(t).cached) for t in (0, 7200)] == [(0.075, 0.5), (0.15, 0.5)]


def test_an_announced_price_does_not_move_what_was_set_by_hand():
    by_hand = prices.price("gemini-4-argon", 24, Overrides(model={"gemini-4-argon": 3}))
    assert by_hand and by_hand.on(NEW_YEAR).ratio == 3
    finer = prices.price("gemini-4-argon", 24, Overrides(classes={"gemini-4-argon": {"cached": 0.5}}))
    assert finer and [(finer.on(day).ratio, finer.on(day).cached) for day in (0, DECEMBER)] == [(1, 0.5), (2, 0.5)]


def test_a_group_without_a_ratio_pays_the_plain_price():
    assert prices.group_ratio("vip", Overrides(group={"vip": 0.5})) == 0.5
    assert prices.group_ratio("nobody", Overrides(group={"vip": 0.5})) == 1


def test_no_built_in_price_is_negative_and_no_class_costs_more_than_forty_times_its_side():
    for name, price in prices.BUILT_IN.items():
        for figure in (price.ratio, price.completion, *(getattr(price, key) or 0 for key in prices.CLASSES)):
            assert figure >= 0, name
        assert (price.cached or 0) <= price.ratio or price.ratio == 0, name


def test_every_correction_is_in_force_and_changes_something():
    assert prices.CORRECTIONS
    for correction in prices.CORRECTIONS:
        now = (
            prices.model_ratio(correction.model, 0)
            if correction.what == "ratio"
            else prices.completion_ratio(correction.model, 0)
        )
        assert now == pytest.approx(correction.new) if correction.new is not None else now is None, correction
        assert correction.new is None or correction.old != pytest.approx(correction.new, rel=1e-7), correction


@pytest.mark.parametrize(
    ("figures", "complaint"),
    [
        ({"in": -1}, "in must be a number"), ({"in": "1"}, "in must be a number"), ({"out": 1}, "needs a price"),
        ({"in": 1, "outt": 2}, "knows no outt"), ({"in": 1, "above": [[9, {}], [9, {}]]}, "thresholds must rise"),
        ({"in": True}, "in must be a number"), ({"in": 1, "from": [["soon", {"in": 2}]]}, "from needs dates that rise"),
        ({"in": 1, "from": [["2027-01-01", {"in": -2}]]}, "in must be a number"),
        ({"in": 1, "daily": [["04:00", "01:00", {"in": 2}]]}, "daily needs hours"),
        ({"in": 1, "daily": [["1", "4", {"in": 2}]]}, "daily needs hours"),
    ],
)  # fmt: skip
def test_a_wrong_price_is_refused_with_the_name_of_the_model(figures, complaint):
    data = {"vendors": [{"vendor": "V", "checked": None, "currency": "USD", "models": {"m1": figures}}]}
    with pytest.raises(load.CatalogError, match=f"prices.json: m1: {complaint}"):
        prices.vendor_prices(data)


@pytest.mark.parametrize("wrong", [{"currency": "EUR"}, {"checked": "yesterday"}])
def test_a_wrong_head_is_refused_with_the_name_of_the_vendor(wrong):
    with pytest.raises(load.CatalogError, match="prices.json: V: "):
        prices.vendor_prices({"vendors": [{"vendor": "V", "checked": None, "currency": "USD", "models": {}} | wrong]})


def test_a_model_priced_by_two_vendors_is_refused():
    vendor = {"vendor": "V", "checked": None, "currency": "USD", "models": {"m1": {"in": 1}}}
    with pytest.raises(load.CatalogError, match="m1: is priced twice"):
        prices.vendor_prices({"vendors": [vendor, vendor]})


@pytest.mark.parametrize(
    ("text", "complaint"), [("{", "not JSON"), ("[]", "must be one object"), ('{"a": 1, "a": 2}', "'a' is given twice")]
)
def test_a_broken_file_is_refused(text, complaint):
    with pytest.raises(load.CatalogError, match=complaint):
        load.parse("x.json", text)
