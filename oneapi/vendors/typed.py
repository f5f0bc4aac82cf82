"""Reading of fields that only some providers know: a value of the wrong type is a bad request that names the field."""

from typing import Any

from oneapi.wire import VendorError

Json = dict[str, Any]


def bad(name: str, wanted: str) -> VendorError:
    return VendorError("bad_request", f"{name} must be {wanted}.", param=name.partition("[")[0].partition(".")[0])


def object_of(holder: Json, name: str, where: str = "") -> Json:
    """Return the object in this field, {} when missing or null. `where` is the path of the holder, such as `messages[].`."""
    found = holder.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise bad(where + name, "an object")
    return found


def objects_of(holder: Json, name: str, where: str = "") -> list[Json]:
    """Return the list of objects in this field, [] when it is missing or null."""
    found = holder.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise bad(where + name, "a list of objects")
    return found


def number_of(holder: Json, name: str, where: str = "") -> float | None:
    """Return the number in this field, None when it is missing or null."""
    found = holder.get(name)
    if found is not None and (isinstance(found, bool) or not isinstance(found, int | float)):
        raise bad(where + name, "a number")
    return found
