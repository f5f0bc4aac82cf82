"""What a run has done, in the reader's language."""

from collections.abc import Mapping
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext, ngettext

ENDINGS = {"The process that ran it ended.": lazy_gettext("The process that ran it ended.")}


def tally(progress: Mapping[str, Any]) -> list[str]:
    """The counters of a run in the reader's language; what a job counts without words here stands under its own name."""
    known = {
        "expected": lambda n: ngettext("%(num)s entry to delete", "%(num)s entries to delete", n),
        "deleted": lambda n: ngettext("%(num)s entry deleted", "%(num)s entries deleted", n),
        "mails": lambda n: ngettext("%(num)s mail sent", "%(num)s mails sent", n),
        "codes": lambda n: ngettext("%(num)s expired code forgotten", "%(num)s expired codes forgotten", n),
        "runs": lambda n: ngettext("%(num)s old run forgotten", "%(num)s old runs forgotten", n),
        "lost": lambda n: ngettext("%(num)s lost run ended", "%(num)s lost runs ended", n),
        "leases": lambda n: ngettext("%(num)s lease taken back", "%(num)s leases taken back", n),
        "compared": lambda n: ngettext("%(num)s figure compared", "%(num)s figures compared", n),
        "differing": lambda n: ngettext("%(num)s differs", "%(num)s differ", n),
    }
    numbers = {name: value for name, value in progress.items() if isinstance(value, int) and name != "at"}
    said = []
    if "total" in numbers:
        done, failed = numbers.pop("done", 0), numbers.pop("failed", 0)
        said.append(_("%(done)s of %(all)s done", done=done, all=numbers.pop("total")))
        said.append(_("%(ok)s good · %(failed)s failed", ok=max(0, done - failed), failed=failed))
    return said + [known[name](value) if name in known else f"{name} {value}" for name, value in numbers.items()]


def ending(error: str | None) -> str:
    """Why a run failed or stopped; what we say ourselves in the reader's language."""
    return str(ENDINGS.get(error or "", error or ""))


def differences(progress: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a comparison of prices found, line by line."""
    found = progress.get("differences")
    return [line for line in found if isinstance(line, dict)] if isinstance(found, list) else []
