"""What an error itself says of a value: an example, a pattern, a limit, or the units that it may end with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kaizen.sync.generate.offline.calls import expression, is_name
from kaizen.sync.generate.offline.claims import JSON_TYPES
from kaizen.sync.generate.offline.templates import MASK, holds_word
from kaizen.sync.trajectory.json_text import as_text

_LONGEST_EXAMPLE = 40
_RUNS = re.compile(r"\d+|[A-Z]+|[a-z]+|[^0-9A-Za-z]+")
_PARTS = re.compile(r"\w+|\W+")
# Signs between or before letters and digits, or letters with digits: no word of a sentence.
_CODE = re.compile(r".*\w[^\w\s]\w.*|[^\w\s]\w+|(?=.*\d)(?=.*[A-Za-z]).+")
_PATTERN = re.compile(r"(?=.*[\[(\\])(?=.*[+*^$}]).+")
_AMOUNT = re.compile(r"-?\d+(?:\.\d+)?")
_LEAST = re.compile(r"at least|min|>|greater|not? (?:less|fewer|shorter)", re.IGNORECASE)


def stated(before: Any, after: Any, error: str) -> dict[str, str]:
    """Return what the error says of a value and the corrected one keeps to, as fields of a claim."""
    if isinstance(after, str) and isinstance(before, str | int | float):
        told = as_text(before).strip(), after.strip()
        if found := _example(*told, error) or _pattern(error) or _units(*told, error):
            return {"kind": "form", "how": found[0], "pattern": found[1]}
    return _limit(before, after, error)


def example_for(arguments: Mapping[str, Any], error: str) -> tuple[str, str]:
    """Return the argument that an error names and how to write it like the example that it gives, if any.

    Another argument than the one named, or a value that has the form already, is not what was refused.
    """
    named = [name for name in arguments if is_name(name) and speaks_of(error, name)]
    if len(named) != 1:
        return "", ""
    value = as_text(arguments[named[0]]).strip()
    examples = (text for text in _shown(error) if not _PATTERN.fullmatch(text))
    example = next((text for text in examples if not re.fullmatch(form(text), value)), "")
    return (named[0], f"like {example}") if example else ("", "")


def speaks_of(error: str, name: str) -> bool:
    """Return whether an error names an argument, as it is or in words: `start_time`, "start time"."""
    return holds_word(error, name) or holds_word(error.casefold(), name.replace("_", " ").casefold())


def form(value: str) -> str:
    """Return an expression for values of the same form, such as `\\d{2}[A-Z]{3}\\d{2}` for 05JAN26."""
    return "".join(_expression(part) for part in _RUNS.findall(value))


def _expression(part: str) -> str:
    kind = r"\d" if part.isdigit() else "[A-Z]" if part.isupper() else "[a-z]" if part.islower() else ""
    if not kind:
        return re.escape(part)
    return rf"{kind}{{{len(part)}}}" if len(part) <= 4 else rf"{kind}{{5,}}"


def _example(before: str, after: str, error: str) -> tuple[str, str] | None:
    """Return an example whose form the accepted value has, and the refused one has not."""
    for text in _shown(error):
        shape = _shape(text)
        is_told = any(
            re.fullmatch(one, after) and not re.fullmatch(one, before) for one in (shape, form(text))
        )
        if is_told and text not in (before, after):
            return f"like {text}", f"^{shape}$"
    return None


def _shape(text: str) -> str:
    """Return an expression for values with the same signs between letters and digits, however many."""
    return "".join(_any_like(part) for part in _PARTS.findall(text))


def _any_like(part: str) -> str:
    if part.isdigit():
        return r"\d+"
    if re.fullmatch(r"\d+[A-Za-z]+", part):
        return r"\d+[A-Za-z]+"
    return r"\w+" if part[0].isalnum() or part[0] == "_" else re.escape(part)


def _pattern(error: str) -> tuple[str, str] | None:
    # It is a stranger's, and never run: the claim has no check.
    found = next((text for text in _shown(error) if _PATTERN.fullmatch(text)), "")
    return (f"to match `{found}`", "") if found else None


def _shown(error: str) -> Iterator[str]:
    """Yield what stands in an error where examples, formats and patterns do, if it is no plain word."""
    for found in expression("example").finditer(error):
        quoted, bare = found["quoted"], found["bare"]
        text = quoted or _without_marks(bare)
        is_told = _CODE.fullmatch(text) or _PATTERN.fullmatch(text)
        if is_told and len(text) <= _LONGEST_EXAMPLE and not re.search(rf"[@`'{MASK}]", text):
            yield text


def _without_marks(text: str) -> str:
    text = text.rstrip(".,;:")
    return text.rstrip(")]'\"") if _PATTERN.fullmatch(text) is None else text


def _units(before: str, after: str, error: str) -> tuple[str, str] | None:
    """Return the units that an error lists, if a number gained one of them at its end."""
    found = re.fullmatch(r"(-?[\d.]+) ?([A-Za-z%]{1,4})", after)
    if not found or re.match(r"-?[\d.]+", before) is None:
        return None
    for listed in expression("units").finditer(error):
        units = re.findall(r"(?<![A-Za-z])(?!or\b|and\b)[A-Za-z%]{1,4}", listed["units"])
        if found[2] in units and not before.endswith(tuple(units)):
            ends = "|".join(map(re.escape, units))
            return f"with one of {', '.join(units)} at the end", rf"\d ?(?:{ends})$"
    return None


def _limit(before: Any, after: Any, error: str) -> dict[str, str]:
    """Return the limit that an error states, if the refused value is beyond it and the accepted one not."""
    one, other = _measured(before), _measured(after)
    if one is None or other is None or type(before) is not type(after):
        return {}
    for found in expression("limit").finditer(error):
        numbers = [float(number) for number in _AMOUNT.findall(found["numbers"])]
        for how, number in _sides(found[0], numbers):
            is_most = how == "most"
            if one > number >= other if is_most else one < number <= other:
                unit = found["unit"] if isinstance(after, str) else ""
                if isinstance(after, str) and not unit:
                    continue
                said = f"at {how} {number:g}" + (f" {unit}" if unit else "")
                return {"kind": "size", "how": said, "pattern": JSON_TYPES[type(after)]}
    return {}


def _sides(said: str, numbers: Sequence[float]) -> Iterator[tuple[str, float]]:
    if len(numbers) == 2:
        yield from (("least", min(numbers)), ("most", max(numbers)))
    elif numbers:
        yield ("least" if _LEAST.match(said) else "most"), numbers[0]


def _measured(value: Any) -> float | None:
    """Return what a limit is about: a number, or how long a text is."""
    if isinstance(value, str):
        return len(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
