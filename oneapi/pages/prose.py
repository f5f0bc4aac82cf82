"""Texts of administrators: Markdown or HTML in, clean HTML out. Nothing of theirs can run a script or restyle the page."""

import re
from functools import lru_cache

from markupsafe import Markup

TAGS = frozenset(
    [
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "code",
        "dd",
        "del",
        "details",
        "div",
        "dl",
        "dt",
        "em",
        "figcaption",
        "figure",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "ins",
        "kbd",
        "li",
        "mark",
        "ol",
        "p",
        "pre",
        "q",
        "s",
        "small",
        "span",
        "strong",
        "sub",
        "summary",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "u",
        "ul",
        "center",
    ]
)
INLINE = frozenset(["a", "b", "br", "code", "em", "i", "img", "small", "span", "strong", "u", "p"])
ATTRIBUTES = {
    "*": ["title", "lang", "dir"],
    "a": ["href", "target", "rel"],
    "img": ["src", "alt", "width", "height"],
    "td": ["colspan", "rowspan", "align"],
    "th": ["colspan", "rowspan", "scope", "align"],
    "ol": ["start"],
}


UNSEEN = re.compile(r"<(script|style)\b.*?(</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)


@lru_cache(maxsize=32)
def html(text: str, *, inline: bool = False) -> Markup:
    """Markdown (HTML within it included) as clean HTML."""
    import bleach  # here, because a relay that shows no texts saves 3 MB
    import markdown

    made = markdown.markdown(text, extensions=["tables", "fenced_code", "sane_lists", "nl2br"], output_format="html")
    made = UNSEEN.sub("", made)  # bleach would keep what they hold as text
    clean = bleach.clean(
        made, tags=INLINE if inline else TAGS, attributes=ATTRIBUTES, protocols=["http", "https", "mailto"], strip=True
    )
    return Markup(clean)  # noqa: S704  (bleach made it safe)


def framed(text: str) -> str:
    """The https address that a text consists of, else nothing: such a page is shown in a frame."""
    text = text.strip()
    return text if text.startswith("https://") and not any(c.isspace() or c in "\"'<>;" for c in text) else ""
