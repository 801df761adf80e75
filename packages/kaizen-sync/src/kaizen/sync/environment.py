"""Values out of environment variables; what cannot be meant is a `SettingsError` that says what to write."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kaizen.sync.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ON = ("true", "1", "yes", "on")
_OFF = ("", "false", "0", "no", "off")


def number(
    environ: Mapping[str, str], variable: str, default: float, *, write: str, above: float = -math.inf
) -> float:
    """The finite number above that one; `write` completes what an error says to do."""
    text = environ.get(variable)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > above):
        raise SettingsError(f"{variable} is '{text}'; write {write}")
    return value


def seconds(environ: Mapping[str, str], variable: str, default: float) -> float:
    return number(environ, variable, default, write="a number of seconds greater than 0", above=0)


def is_on(environ: Mapping[str, str], variable: str) -> bool:
    text = environ.get(variable, "").strip().lower()
    if text in _ON:
        return True
    if text in _OFF:
        return False
    raise SettingsError(f"{variable} is '{text}'; write true or false")
