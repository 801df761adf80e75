"""Which annotations count as outcomes, and how long traces are asked for again: read from the environment."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kaizen.sync.environment import is_on, number
from kaizen.sync.errors import SettingsError
from kaizen.sync.model import OutcomeRules

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LONGEST_WAIT_S = 366 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeSettings:
    """`wait_s` is how long after it was learned from a trace is asked for again; 0 is not at all."""

    rules: OutcomeRules = field(default_factory=OutcomeRules)
    wait_s: float = 604_800.0

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> OutcomeSettings:
        """Read `KAIZEN_OUTCOME_*`; raises `SettingsError` for what cannot be meant."""
        usual = OutcomeRules()
        rules = OutcomeRules(
            names=_words(environ, "KAIZEN_OUTCOME_NAMES", usual.names),
            success_labels=_words(environ, "KAIZEN_OUTCOME_SUCCESS_LABELS", usual.success_labels),
            failure_labels=_words(environ, "KAIZEN_OUTCOME_FAILURE_LABELS", usual.failure_labels),
            success_score=number(
                environ, "KAIZEN_OUTCOME_SUCCESS_SCORE", usual.success_score, write="a number such as 0.7"
            ),
            failure_score=number(
                environ, "KAIZEN_OUTCOME_FAILURE_SCORE", usual.failure_score, write="a number such as 0.7"
            ),
            include_inner_spans=is_on(environ, "KAIZEN_OUTCOME_INNER_SPANS"),
        )
        if rules.failure_score >= rules.success_score:
            raise SettingsError(
                f"KAIZEN_OUTCOME_FAILURE_SCORE ({rules.failure_score:g}) is not below "
                f"KAIZEN_OUTCOME_SUCCESS_SCORE ({rules.success_score:g}); a score cannot be both"
            )
        return cls(rules=rules, wait_s=_duration(environ, "KAIZEN_OUTCOME_WAIT", cls().wait_s))


def _words(environ: Mapping[str, str], variable: str, default: tuple[str, ...]) -> tuple[str, ...]:
    text = environ.get(variable)
    if not text:
        return default
    words = tuple(filter(None, map(str.strip, text.split(","))))
    if not words:
        raise SettingsError(f"{variable} is '{text}'; write names with commas between them")
    return words


def _duration(environ: Mapping[str, str], variable: str, default_s: float) -> float:
    text = environ.get(variable)
    if not text:
        return default_s
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip(), re.ASCII)
    seconds = float(found[1]) * _UNITS[found[2]] if found else math.inf
    if seconds > _LONGEST_WAIT_S:
        raise SettingsError(f"{variable} is '{text}'; write it like 12h or 7d, at most 366d, or 0 for never")
    return seconds
