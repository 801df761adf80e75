"""Where the calls of two runs of one task differ: values that are found again on stored calls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING, Literal

from kaizen.sync.generate.offline.calls import is_name, is_read_only

if TYPE_CHECKING:
    from kaizen.sync.generate.offline.claims import PastCall

MOST_DIFFERENCES = 8

DifferenceKind = Literal[
    "missing",  # the run that failed never had the call accepted
    "order",  # it made both calls the other way round
    "arguments",  # it passed other arguments
    "extra",  # it made a call that the run which succeeded did not make
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What the run that failed did otherwise; `failed` and `succeeded` are the places of the calls.

    `detail` is the template of an error, or the names of arguments.
    """

    kind: DifferenceKind
    tools: tuple[str, ...]
    detail: str = ""
    failed: tuple[int, ...] = ()
    succeeded: tuple[int, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """Return what is the same for other runs that differ in the same way."""
        return (self.kind, *self.tools, self.detail)


def find_differences(failed: Sequence[PastCall], succeeded: Sequence[PastCall]) -> list[Difference]:
    """Return at most eight differences, calls that are missing first.

    What the run that succeeded shows by itself is none: an error that it met and overcame.
    """
    found = chain(
        _missing(failed, succeeded),
        _order(failed, succeeded),
        _arguments(failed, succeeded),
        _extra(failed, succeeded),
    )
    return list(islice(found, MOST_DIFFERENCES))


def _missing(failed: Sequence[PastCall], succeeded: Sequence[PastCall]) -> Iterator[Difference]:
    accepted, overcome = _accepted(failed), {(call.tool, call.error) for call in succeeded if call.error}
    for tool, place in _accepted(succeeded).items():
        if tool in accepted:
            continue
        refused = [n for n, call in enumerate(failed) if call.tool == tool][-1:]
        error = failed[refused[0]].error or "" if refused else ""
        if (tool, error) not in overcome:
            yield Difference(
                kind="missing", tools=(tool,), detail=error, failed=tuple(refused), succeeded=(place,)
            )


def _order(failed: Sequence[PastCall], succeeded: Sequence[PastCall]) -> Iterator[Difference]:
    """Yield pairs of which one changes things, made one after the other in the run that succeeded."""
    theirs, ours = _accepted(succeeded), _accepted(failed)
    common = [tool for tool in sorted(theirs, key=theirs.__getitem__) if tool in ours]
    for one, other in pairwise(common):
        if ours[one] > ours[other] and not (is_read_only(one) and is_read_only(other)):
            yield Difference(
                kind="order",
                tools=(one, other),
                failed=(ours[other], ours[one]),
                succeeded=(theirs[one], theirs[other]),
            )


def _arguments(failed: Sequence[PastCall], succeeded: Sequence[PastCall]) -> Iterator[Difference]:
    """Yield calls that change things and were made with arguments of other names."""
    theirs, ours = _accepted(succeeded), _accepted(failed)
    for tool in (tool for tool in theirs if tool in ours and not is_read_only(tool)):
        names = succeeded[theirs[tool]].arguments.keys() ^ failed[ours[tool]].arguments.keys()
        if names := set(filter(is_name, names)):
            detail = json.dumps(sorted(names))
            yield Difference(
                kind="arguments",
                tools=(tool,),
                detail=detail,
                failed=(ours[tool],),
                succeeded=(theirs[tool],),
            )


def _extra(failed: Sequence[PastCall], succeeded: Sequence[PastCall]) -> Iterator[Difference]:
    """Yield calls that change things and that only the run that failed made."""
    made = {call.tool for call in succeeded}
    for tool, place in _accepted(failed).items():
        if tool not in made and not is_read_only(tool):
            yield Difference(kind="extra", tools=(tool,), failed=(place,))


def _accepted(calls: Sequence[PastCall]) -> dict[str, int]:
    """Return the place of the first call of each tool that was not refused."""
    places: dict[str, int] = {}
    for place, call in enumerate(calls):
        if call.succeeded:
            places.setdefault(call.tool, place)
    return places
