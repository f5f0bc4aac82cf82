"""Both languages are complete."""

import re

import pytest
import texts

PLACEHOLDER = re.compile(r"%\(\w+\)s|\{\w+\}")
CJK = re.compile(r"[\u4e00-\u9fff]")
TRANSLATED = texts.translated("zh_CN")
WANTED = sorted(texts.marked() | set(texts.declared()))


def test_every_text_is_found() -> None:
    assert len(WANTED) > 900


def test_every_text_has_a_chinese_one() -> None:
    assert [text for text in WANTED if not TRANSLATED.get(text)] == []


def test_no_translation_is_left_over() -> None:
    assert sorted(set(TRANSLATED) - set(WANTED)) == []


def test_translations_have_the_placeholders_of_their_texts() -> None:
    differing = [t for t, said in TRANSLATED.items() if sorted(PLACEHOLDER.findall(t)) != sorted(PLACEHOLDER.findall(said))]
    assert differing == []


@pytest.mark.parametrize("path", sorted((texts.PACKAGE / "templates").rglob("*.html")), ids=lambda p: p.name)
def test_templates_hold_no_text_of_one_language(path) -> None:
    assert not CJK.search(path.read_text())
