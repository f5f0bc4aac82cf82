"""Every text that a page may show: what templates and modules mark for translation, and what tables declare."""

from collections.abc import Iterator
from pathlib import Path

from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from oneapi import config, jobs, settings, vendors
from oneapi.catalog.notes import NOTES
from oneapi.pages.settings import DANGEROUS, SECTIONS

PACKAGE = Path(__file__).resolve().parents[1] / "oneapi"
METHODS = [("pages/**.py", "python"), ("templates/**.html", "jinja2")]
KEYWORDS = {"_": None, "gettext": None, "lazy_gettext": None, "ngettext": (1, 2)}


def marked() -> set[str]:
    """The msgids of templates and page modules; of a plural its singular, as catalogues know it."""
    found = extract_from_dir(PACKAGE, METHODS, {"templates/**.html": {"trimmed": "true"}}, KEYWORDS)
    return {message[0] if isinstance(message, tuple) else message for _file, _line, message, _comments, _context in found} - {""}


def declared() -> Iterator[str]:
    """Texts of tables that pages translate as they show them."""
    for field in (*settings.FIELDS, *config.FIELDS):
        yield from filter(None, (field.help,))
    for field in settings.FIELDS:
        yield field.label
        yield from (
            str(choice) for choice in field.choices if isinstance(choice, str) and field.stored_as not in ("UnknownModelPolicy",)
        )
    for vendor in vendors.REGISTRY.values():
        yield from (vendor.name, vendor.key_label)
        for field in vendor.fields:
            yield from filter(None, (field.label, field.help))
    yield from NOTES.values()
    yield from (job.title for job in jobs.JOBS)
    yield from (str(section.title) for section in SECTIONS)
    yield from (str(text) for text in DANGEROUS.values())


def translated(locale: str) -> dict[str, str]:
    """msgid → text of a catalogue; of a plural the first form."""
    with (PACKAGE / "i18n" / f"{locale}.po").open("rb") as file:
        catalogue = read_po(file, locale=locale)
    entries = [message for message in catalogue if message.id]
    return {
        (m.id[0] if isinstance(m.id, tuple) else m.id): (m.string[0] if isinstance(m.string, tuple) else m.string)
        for m in entries
    }


def missing(locale: str) -> list[str]:
    """What a catalogue lacks: python tests/texts.py prints it for zh_CN."""
    known = translated(locale)
    return sorted(text for text in marked() | set(declared()) if not known.get(text))


def trim(locale: str) -> None:
    """Take out of a catalogue what no page says any more, and sort the rest."""
    wanted, path = marked() | set(declared()), PACKAGE / "i18n" / f"{locale}.po"
    with path.open("rb") as file:
        catalogue = read_po(file, locale=locale)
    for message in list(catalogue):
        id = message.id[0] if isinstance(message.id, tuple) else message.id
        if id and id not in wanted:
            catalogue.delete(message.id)
    with path.open("wb") as file:
        write_po(file, catalogue, width=0, sort_output=True, no_location=True)


if __name__ == "__main__":
    print("\n".join(missing("zh_CN")))
    trim("zh_CN")
