"""Name the files of namespaces: one name for each id, the same on every file system."""

from __future__ import annotations

import re

from kaizen.store.errors import InvalidInputError
from kaizen.store.validation import check_namespace_id

_UPPER = re.compile(r"[A-Z]")
_ESCAPED = re.compile(r"!([a-z])")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
_DEVICE_MARK = "!!"


def file_name(namespace_id: str) -> str:
    """Return the id with `!` before each capital, in lower case, and `!!` before a name of a Windows device.

    File systems that ignore case would otherwise give `Team` and `team` one file. The rule for capitals is
    that of Go's module cache (Go Modules Reference, "Module cache").
    """
    name = _UPPER.sub(lambda match: f"!{match[0].lower()}", namespace_id)
    return _DEVICE_MARK + name if _DEVICE.fullmatch(name) else name


def namespace_id_of(name: str) -> str | None:
    """Return the id whose file has this name; None for a name that `file_name` does not give."""
    namespace_id = _ESCAPED.sub(lambda match: match[1].upper(), name.removeprefix(_DEVICE_MARK))
    try:
        check_namespace_id(namespace_id)
    except InvalidInputError:
        return None
    return namespace_id if file_name(namespace_id) == name else None
