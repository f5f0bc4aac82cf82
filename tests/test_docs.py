"""The generated pages say what the code declares today."""

import pytest

from docs import build


@pytest.mark.parametrize("name", build.PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (build.HERE / name).read_text() == build.PAGES[name](), "run: python -m docs.build"


def test_every_setting_and_variable_is_explained() -> None:
    from oneapi import config, settings

    assert [f.stored_as for f in (*config.FIELDS, *settings.FIELDS) if not f.label] == []
