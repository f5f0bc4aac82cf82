"""HTML for people: one module per screen, all registered here."""

import importlib
import pkgutil

from flask import Flask

from oneapi.pages import assets, languages, makers, pieces, render, shell, snippets, texts


def init(app: Flask) -> None:
    """Languages, templates, static files, headers and every screen of this package."""
    languages.init(app)
    assets.init(app)
    texts.init(app)
    makers.init(app)
    pieces.init(app)
    snippets.init(app)
    render.init(app)
    shell.init(app)
    for module in pkgutil.iter_modules(__path__):
        screen = importlib.import_module(f"{__name__}.{module.name}")
        if hasattr(screen, "bp"):
            app.register_blueprint(screen.bp)
