"""The generated pages say what the code declares today."""

import re

import pytest

from docs import build


@pytest.mark.parametrize("name", build.PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (build.HERE / name).read_text() == build.PAGES[name](), "run: python -m docs.build"


def test_every_setting_and_variable_is_explained() -> None:
    from oneapi import config, settings

    assert [f.stored_as for f in (*config.FIELDS, *settings.FIELDS) if not f.label] == []


SOURCES = ("oneapi/vendors/compatible.py", "oneapi/vendors/aiproxy.py", *(
    f"tests/wire/aiproxy-library/chat/{name}.json" for name in ("request", "golden")
))  # fmt: skip


def test_the_examples_of_contributing_are_real() -> None:
    text = (build.HERE.parent / "CONTRIBUTING.md").read_text()
    real = "".join((build.HERE.parent / name).read_text() for name in SOURCES)
    blocks = re.findall(r"```(?:python|json)\n(.*?)```", text, re.S)
    assert len(blocks) == 5
    for block in blocks:
        for piece in block.split("\n\n\n"):
            assert piece.strip().rstrip(",") in real, f"not in the code any more: {piece}"
