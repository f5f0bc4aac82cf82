"""What an address says about a list: search, filters, order, page. Unknown values are ignored, never errors."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from flask import request

from oneapi.fields import integer

SIZES = (25, 50, 100)


@dataclass(frozen=True)
class View:
    """One list as its address describes it; `url` makes the addresses of its neighbours."""

    path: str
    args: Mapping[str, str]
    sort: str
    page: int
    size: int
    default_sort: str = ""
    total: int = 0
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def order(self) -> str:
        return self.sort.removeprefix("-")

    @property
    def descending(self) -> bool:
        return self.sort.startswith("-")

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.size

    @property
    def last(self) -> int:
        return min(self.total, self.offset + self.size)

    @property
    def filtered(self) -> bool:
        return any(self.args.values())

    def __getitem__(self, name: str) -> str:
        return self.args.get(name, "")

    def number(self, name: str) -> int | None:
        """The number in a filter; None when there is none."""
        try:
            return integer(self.args.get(name, ""))
        except ValueError:
            return None

    def url(self, **changes: Any) -> str:
        """This list with changes, empty values and defaults left out. Every change but one of the page leads to page one."""
        query = {**self.args, "sort": self.sort, "page": self.page, "size": self.size, **self.extra}
        if "page" not in changes:
            query["page"] = 1
        query.update(changes)
        defaults = {"sort": self.default_sort, "page": 1, "size": SIZES[0]}
        kept = {k: v for k, v in query.items() if v not in (None, "") and str(v) != str(defaults.get(k, ""))}
        return self.path + (f"?{urlencode(kept)}" if kept else "")

    def sorted_by(self, name: str) -> str:
        """The address that sorts by a column, first falling, then rising."""
        return self.url(sort=name if self.sort == f"-{name}" else f"-{name}")

    def counted(self, total: int) -> "View":
        """The same with its total; a page beyond the end becomes the last one."""
        pages = max(1, -(-total // self.size))
        return View(self.path, self.args, self.sort, min(self.page, pages), self.size, self.default_sort, total, self.extra)


def hidden(name: str, columns: Iterable[tuple[str, Any]]) -> list[str]:
    """The columns of a list that this browser does not want to see."""
    off = request.cookies.get(f"{name}_columns", "").split(".")
    return [column for column, _words in columns if column in off]


def view(path: str, filters: Mapping[str, Collection[str] | None], sorts: Collection[str] = (), default: str = "-id") -> View:
    """Read the request's query. `filters` maps a name to the values it may have, or None for any text."""
    given = request.values
    args = {}
    for name, values in filters.items():
        text = given.get(name, "").strip()[:200]
        args[name] = text if values is None or text in values else ""
    sort = given.get("sort", default)
    size = given.get("size", type=int) or SIZES[0]
    page = given.get("page", type=int) or 1
    return View(
        path, args, sort if sort.removeprefix("-") in (*sorts, default.removeprefix("-")) else default,
        max(1, min(page, 10**6)), size if size in SIZES else SIZES[0], default,
    )  # fmt: skip
