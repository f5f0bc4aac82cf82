"""Who makes a model: the name that pages show, and the monogram that stands for it."""

from flask import Flask
from flask_babel import gettext as _

from oneapi import vendors
from oneapi.catalog import models as catalog


def maker(model: str) -> str:
    """The company's name; "" for a model in no list."""
    made_by = vendors.REGISTRY.get(catalog.MAKERS.get(model, 0))
    return made_by.name if made_by else ""


def kinds() -> dict[str, str]:
    """Kinds of calls that a model may be for, in words."""
    return {
        "chat": _("Chat"), "completions": _("Completion"), "embeddings": _("Embeddings"), "images": _("Images"),
        "speech": _("Speech"), "transcriptions": _("Transcription"), "rerank": _("Rerank"), "moderations": _("Moderation"),
    }  # fmt: skip


def shown(model: str) -> str:
    """The company's name in the reader's language."""
    name = maker(model)
    return _(name) if name else ""


def init(app: Flask) -> None:
    app.jinja_env.filters["maker"] = shown
