"""Who makes a model: the name that pages show, and the monogram that stands for it."""

from flask import Flask

from oneapi import vendors
from oneapi.catalog import models as catalog


def maker(model: str) -> str:
    """The company's name; "" for a model in no list."""
    made_by = vendors.REGISTRY.get(catalog.MAKERS.get(model, 0))
    return made_by.name if made_by else ""


def init(app: Flask) -> None:
    app.jinja_env.filters["maker"] = maker
