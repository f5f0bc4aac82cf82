"""Prices: nothing is stored before its difference was seen."""

import io
import json
import re
from typing import Any

TABLES = (
    "ModelRatio", "CompletionRatio", "CacheRatio", "CacheWriteRatio", "LongCacheWriteRatio", "AudioRatio", "ImageRatio",
    "CallPrice",
)  # fmt: skip
FIELD = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')


def confirmed(browser: Any, said: str) -> Any:
    """Send what a difference shows, as its button does."""
    form = {name: value.replace("&#34;", '"') for name, value in FIELD.findall(said) if name in TABLES}
    return browser.post("/price/json", then="save", **form)


def test_many_prices_are_multiplied_after_a_look(browse: Any, root: Any, channel: Any, state: Any) -> None:
    channel(models="gpt-4o,gpt-4o-mini,gpt-4.1")
    browser = browse(root)
    said = browser.post("/price/bulk", action="multiply", value="2", ids=["gpt-4o", "gpt-4o-mini"]).text
    assert state.settings.model_ratio == {}
    assert "2 figures change" in said and "built in 1.25" in said and "2.5" in said
    assert confirmed(browser, said).status_code == 303
    assert state.settings.model_ratio == {"gpt-4o": 2.5, "gpt-4o-mini": 0.15}
    said = browser.post("/price/bulk", action="reset", ids=["gpt-4o"]).text
    confirmed(browser, said)
    assert state.settings.model_ratio == {"gpt-4o-mini": 0.15}


def test_a_factor_that_is_none_changes_nothing(browse: Any, root: Any, channel: Any, state: Any) -> None:
    channel(models="gpt-4o")
    browser = browse(root)
    browser.post("/price/bulk", action="multiply", value="twice", ids=["gpt-4o"])
    assert "Give a number of 0 or more." in browser.get("/price").text and state.settings.model_ratio == {}


def test_pasted_tables_are_shown_as_a_difference_first(browse: Any, root: Any, state: Any) -> None:
    browser = browse(root)
    form = dict.fromkeys(TABLES, "{}") | {"ModelRatio": '{"mine": 3}', "CompletionRatio": '{"mine": 2}'}
    said = browser.post("/price/json", **form).text
    assert "2 figures change" in said and "1 model" in said and state.settings.model_ratio == {}
    assert '"mine": 3' in browser.post("/price/json", **form, then="edit").text.replace("&#34;", '"')
    confirmed(browser, said)
    assert state.settings.model_ratio == {"mine": 3} and state.settings.completion_ratio == {"mine": 2}
    assert browser.post("/price/json", **form).location == "/price"  # nothing would change


def test_a_figure_that_cannot_be_is_named_at_its_table(browse: Any, root: Any) -> None:
    said = browse(root).post("/price/json", **dict.fromkeys(TABLES, "{}") | {"CacheRatio": '{"a": -1}'})
    assert said.status_code == 422 and 'id="f-CacheRatio-said"' in said.text and "must not be negative" in said.text


def test_an_exported_file_is_imported_table_by_table(browse: Any, root: Any, state: Any) -> None:
    browser = browse(root)
    browser.post("/price/edit", model="kept", completion_ratio="4")
    file = (io.BytesIO(json.dumps({"ModelRatio": {"new": 5}}).encode()), "prices.json")
    said = browser.post("/price/json", **dict.fromkeys(TABLES, "{}"), file=file).text
    assert "1 figure changes" in said
    confirmed(browser, said)
    assert state.settings.model_ratio == {"new": 5} and state.settings.completion_ratio == {"kept": 4}
    other = (io.BytesIO(b"[1]"), "prices.json")
    said = browser.post("/price/json", **dict.fromkeys(TABLES, "{}"), file=other)
    assert said.status_code == 422 and "no file of prices" in said.text and 'id="f-file-said"' in said.text


def test_empty_fields_show_the_built_in_figures(browse: Any, root: Any, channel: Any) -> None:
    channel(models="gpt-4o")
    said = browse(root).get("/price/edit?model=gpt-4o").text
    assert re.search(r'name="model_ratio"[^>]*placeholder="1.25"', said)
    assert re.search(r'name="completion_ratio"[^>]*placeholder="4"', said)
    assert re.search(r'name="cache_ratio"[^>]*placeholder="0.5"', said)
