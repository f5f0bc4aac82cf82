"""The layers of the design, enforced on the syntax trees; each rule is itself tried on code that breaks it."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "oneapi"

LEVELS = {
    1: ("wire", "fields", "catalog"),
    2: ("vendors", "dialects"),
    3: ("state", "snapshot", "settings", "models", "db", "config", "sealed", "migrate", "messages", "proxies",
        "addresses", "mailbox"),
    4: ("relay", "actions", "login", "notify", "mailer", "guarded", "fanout", "lifecycle", "intake", "handler", "response",
        "connections", "caps", "logs"),
    5: ("jobs", "chores", "access", "doors", "throttle", "server", "worker", "inputs"),
    6: ("pages", "api", "operations"),
    7: ("cli", "__init__"),
}  # fmt: skip
LEVEL = {part: level for level, parts in LEVELS.items() for part in parts}
SIDEWAYS = ("pages", "api")  # may not import each other, nor relay.entry them
PURE = ("wire", "fields", "catalog", "vendors", "dialects")
PURE_RELAY = ("relay/routing.py", "relay/policy.py", "relay/framing.py", "relay/endpoints.py")
IMPURE = {
    "flask", "werkzeug", "sqlalchemy", "gevent", "requests", "socket", "ssl", "time", "random", "secrets", "os", "redis",
    "threading", "subprocess", "tempfile", "urllib.request", "http.client", "datetime.now", "uuid",
}  # fmt: skip
# Who alone may use a library.
ONLY = {
    "flask": ("access", "inputs", "doors", "throttle", "pages", "api", "cli", "operations", "__init__", "relay/entry.py",
              "db.py"),
    "werkzeug": ("access", "inputs", "throttle", "pages", "api", "relay/reading.py"),
    "sqlalchemy": ("models", "db.py", "migrate.py"),
}  # fmt: skip
# Error types of SQLAlchemy and its sessions are named where they are handled or handed on.
MAY_NAME_SQLALCHEMY = (
    "state.py",
    "relay/ledger.py",
    "relay/listing.py",
    "actions",
    "api",
    "pages",
    "jobs.py",
    "login",
    "access.py",
)
VENDOR_WORDS = (
    "anthropic", "gemini", "bedrock", "dashscope", "qianfan", "ernie", "hunyuan", "xunfei", "moonshot", "ollama", "cohere",
    "deepseek", "mistral", "groq", "replicate", "siliconflow", "minimax", "volcengine", "doubao",
)  # fmt: skip
MAY_NAME_VENDORS = ("config.py",)  # variables of the environment that the old project named after a vendor
# Client paths, headers and option names of the outside world that carry a vendor's name.
NAMED_OUTSIDE = ("/anthropic/", "anthropic-beta", "http_anthropic_beta", "anthropic-version", "http_anthropic_version", "gemini_")


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def part_of(path: Path) -> str:
    inside = path.relative_to(PACKAGE)
    return inside.parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module a file names, as far as the statement tells."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def typing_only(tree: ast.Module) -> ast.Module:
    """The tree without `if TYPE_CHECKING:` blocks."""
    body = [n for n in tree.body if not (isinstance(n, ast.If) and isinstance(n.test, ast.Name) and n.test.id == "TYPE_CHECKING")]
    return ast.Module(body, [])


def upward(part: str, tree: ast.Module) -> list[str]:
    """Imports that point up, or sideways between pages and api."""
    wrong = []
    for name in imports(typing_only(tree)):
        pieces = name.split(".")
        if pieces[0] != "oneapi" or len(pieces) < 2 or pieces[1] not in LEVEL:
            continue
        target = pieces[1]
        if LEVEL[target] > LEVEL[part] or (part in SIDEWAYS and target in SIDEWAYS and target != part):
            wrong.append(name)
    return wrong


def impure(tree: ast.Module) -> list[str]:
    return [name for name in imports(typing_only(tree)) if name.split(".")[0] in IMPURE or name in IMPURE]


def libraries(tree: ast.Module, library: str) -> list[str]:
    return [name for name in imports(tree) if name.split(".")[0] == library]


def vendor_names(text: str) -> list[str]:
    lowered = text.lower()
    for allowed in NAMED_OUTSIDE:
        lowered = lowered.replace(allowed, "")
    return [word for word in VENDOR_WORDS if word in lowered]


def foreign_vendors(path: Path, tree: ast.Module) -> list[str]:
    """Imports of another vendor's file: one that has rows and is of another family."""
    own = path.stem.split("_")[0]
    wrong = []
    for name in imports(tree):
        pieces = name.split(".")
        if pieces[:2] == ["oneapi", "vendors"] and len(pieces) > 2:
            other = PACKAGE / "vendors" / f"{pieces[2]}.py"
            has_rows = other.exists() and "\nVENDORS" in other.read_text()
            if has_rows and pieces[2].split("_")[0] != own and pieces[2] != "openai":
                wrong.append(name)
    return wrong


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_keeps_to_its_layer(path: Path) -> None:
    tree, part, inside = ast.parse(path.read_text()), part_of(path), str(path.relative_to(PACKAGE))
    assert part in LEVEL, f"{part} has no level: add it to LEVELS"
    assert upward(part, tree) == []
    if part in PURE or inside in PURE_RELAY:
        assert impure(tree) == []
    for library, users in ONLY.items():
        allowed = users + (MAY_NAME_SQLALCHEMY if library == "sqlalchemy" else ())
        if not any(inside == user or inside.startswith(f"{user}/") or part == user for user in allowed):
            assert libraries(tree, library) == [], f"{inside} uses {library}"
    if part == "vendors" and path.name != "__init__.py":
        assert foreign_vendors(path, tree) == []
    if part not in ("vendors", "catalog") and inside not in MAY_NAME_VENDORS:
        assert vendor_names(path.read_text()) == []


@pytest.mark.parametrize("path", [p for p in sources() if part_of(p) in ("wire", "fields", "catalog")], ids=lambda p: p.name)
def test_the_lowest_level_needs_only_the_standard_library(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(ast.parse(path.read_text()))} - {"oneapi"}
    assert roots <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ("rule", "snippet"),
    [
        (lambda t: upward("models", t), "from oneapi.pages import shell"),
        (lambda t: upward("pages", t), "import oneapi.api.users"),
        (lambda t: upward("vendors", t), "from oneapi import state"),
        (impure, "import time"),
        (impure, "from flask import g"),
        (lambda t: libraries(t, "sqlalchemy"), "from sqlalchemy.orm import Session"),
        (lambda t: foreign_vendors(Path("groq.py"), t), "from oneapi.vendors import azure"),
    ],
)
def test_each_rule_sees_what_breaks_it(rule: object, snippet: str) -> None:
    assert rule(ast.parse(snippet))  # type: ignore[operator]


def test_a_vendors_name_is_seen() -> None:
    assert vendor_names("if channel.type == ANTHROPIC:") == ["anthropic"]


def test_no_two_vendors_share_an_id() -> None:
    from oneapi import vendors
    from oneapi.vendors.contract import Vendor

    with pytest.raises(ValueError, match="same id"):
        vendors.registry([Vendor(1, "a", "A"), Vendor(1, "b", "B")])
