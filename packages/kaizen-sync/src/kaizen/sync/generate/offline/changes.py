"""What is different between two calls of one tool, in words that hold for other values too."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from kaizen.sync.generate.offline.steps import is_name
from kaizen.sync.trajectory.json_text import as_text

_LONGEST_FORM = 24
_MOST_ADDED = 4
_MOST_LISTS = 4
# Of units: of time, of percent, of bytes, of money in cents.
_FACTORS = (10, 60, 100, 1_000, 1_024, 3_600, 1_000_000)
_RUN = re.compile(r"([9Aa])\1{5,}")
_FORM_LEGEND = "(9 stands for a digit, A and a for letters)"
_JSON_TYPES: Mapping[type, str] = {
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Names of the arguments that one call has and the other has not, or has with another value."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return self.added + self.removed + self.changed


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Change:
    """Return how the arguments of a later call differ from those of an earlier one, by name in order."""
    return Change(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(sorted(name for name in before.keys() & after.keys() if before[name] != after[name])),
    )


def rewritten(before: Any, after: Any) -> str:
    """Return how to write what was written as `before`, as an imperative's end; empty for another value."""
    if type(before) is not type(after) and not (_is_number(before) and _is_number(after)):
        same = _plain(before) == _plain(after) and _plain(after)
        return f"as {_JSON_TYPES.get(type(after), 'another type')}" if same else ""
    if _is_number(before) and _is_number(after):
        return _scaled(before, after)
    if isinstance(before, str) and isinstance(after, str):
        return _formed(before.strip(), after.strip())
    return ""


def relations(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return what holds between two lists among the arguments of a later call, and did not hold before."""
    names = [name for name, value in after.items() if isinstance(value, list) and is_name(name)]
    names = [name for name in names if isinstance(before.get(name), list)][:_MOST_LISTS]
    found = []
    for one, other in combinations(names, 2):
        if len(after[one]) == len(after[other]) and len(before[one]) != len(before[other]):
            found.append(f"Pass as many entries in `{one}` as in `{other}`")
        if _in_both(before, one, other) and not _in_both(after, one, other):
            found.append(f"Leave out of `{one}` and `{other}` what would be the same in both")
    return found


def _in_both(arguments: Mapping[str, Any], one: str, other: str) -> bool:
    return not {as_text(value) for value in arguments[one]}.isdisjoint(map(as_text, arguments[other]))


def form(value: str) -> str:
    """Return the form of a short value, such as `99AAA99` for 05JAN26; empty where it has none."""
    if len(value) > _LONGEST_FORM or not (value.isascii() and value.isprintable()) or "`" in value:
        return ""
    letters = re.sub(r"[A-Z]", "A", re.sub(r"[a-z]", "a", re.sub(r"\d", "9", value)))
    return _RUN.sub(r"\1…", letters)


def _formed(before: str, after: str) -> str:
    """Return the form of the value that was accepted, where the same was said in another form."""
    if before.casefold() == after.casefold() and after.isalpha():
        return "in capital letters" if after.isupper() else "in small letters" if after.islower() else ""
    # The form of words, or of an address, is that of this run's alone.
    if "@" in after or not re.search(r"\d", after) or not _is_same_in_another_form(before, after):
        return ""
    accepted, refused = form(after), form(before)
    if not accepted or not refused or accepted == refused:
        return ""
    return f"in the form `{accepted}` {_FORM_LEGEND}"


def _is_same_in_another_form(before: str, after: str) -> bool:
    """Return whether both hold the same letters and digits, but for a few, or the same day."""
    shorter, longer = sorted((_plain(before), _plain(after)), key=len)
    if len(longer) - len(shorter) < min(_MOST_ADDED, len(shorter)) and shorter in longer:
        return True
    numbers = [set(_numbers(one)) for one in (before, after)]
    smaller = min(numbers, key=len)
    return len(smaller) >= 2 and smaller <= max(numbers, key=len)


def _numbers(text: str) -> list[str]:
    # A year may be written in full or by its last digits.
    return [number[-2:].lstrip("0") for number in re.findall(r"\d+", text)]


def _plain(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return re.sub(r"[\W_]+", "", str(value)).casefold()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _scaled(before: float, after: float) -> str:
    """Return the factor with which the value was accepted; empty if it is not one between units."""
    try:
        factor = before / after
    except (ZeroDivisionError, OverflowError):
        return ""
    for known in _FACTORS:
        if math.isclose(factor, known, rel_tol=1e-6):
            return f"divided by {known}"
        if math.isclose(factor, 1 / known, rel_tol=1e-6):
            return f"multiplied by {known}"
    return ""
