"""Request class and path converters: everything that a request names fits into every database."""

from typing import Any

from flask import Flask, Request
from werkzeug.datastructures import ImmutableMultiDict, iter_multi_items
from werkzeug.routing import BaseConverter, IntegerConverter, PathConverter, UnicodeConverter, ValidationError

from oneapi.fields import integer, storable


class Values(ImmutableMultiDict[str, Any]):
    """Query string or form. Texts are storable, and `type=int` takes only whole numbers of 64 bits, else the default."""

    def __init__(self, mapping: Any = None):
        super().__init__((_clean(name), _clean(value)) for name, value in iter_multi_items(mapping or ()))

    def get(self, key: str, default: Any = None, type: Any = None) -> Any:  # type: ignore[override]
        return super().get(key, default, integer if type is int else type)

    def getlist(self, key: str, type: Any = None) -> list[Any]:
        return super().getlist(key, integer if type is int else type)


def _clean(value: Any) -> Any:
    return storable(value) if isinstance(value, str) else value


class CleanRequest(Request):
    parameter_storage_class = Values


class _Id(IntegerConverter):
    """A whole number of 64 bits; another one matches no route, so that the answer is 404."""

    regex = "[0-9]{1,19}"

    def to_python(self, value: str) -> Any:
        try:
            return integer(value)
        except ValueError:
            raise ValidationError from None


class _Text(UnicodeConverter):
    def to_python(self, value: str) -> str:
        return storable(value)


class _Path(PathConverter):
    def to_python(self, value: str) -> str:
        return storable(value)


CONVERTERS: dict[str, type[BaseConverter]] = {"int": _Id, "default": _Text, "string": _Text, "path": _Path}


def init(app: Flask) -> None:
    """Use them in an application; call this before its routes are added."""
    app.request_class = CleanRequest
    app.url_map.converters.update(CONVERTERS)
