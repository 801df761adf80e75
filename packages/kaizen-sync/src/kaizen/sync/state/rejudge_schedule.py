"""When traces that were learned from are asked for again, since people judge them later. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

_HOUR = "%Y-%m-%dT%H"
_FIRST = timedelta(hours=1)
_GROWTH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The traces that were recorded in one hour of UTC, and how far they were asked for again.

    `rounds` were completed. In the one under way, the records up to the id `after` are done, and of the page
    behind it the first `targets` kinds of annotations.
    """

    hour: str
    rounds: int = 0
    after: str = ""
    targets: int = 0

    def is_due(self, now: datetime, wait: timedelta) -> bool:
        """Whether there is something to ask: an hour after the hour, three hours after it, and so on."""
        rounds = _rounds(wait)
        return self.rounds < len(rounds) and now >= self._ended + rounds[self.rounds]

    def is_over(self, wait: timedelta) -> bool:
        """Whether nothing is asked any more."""
        return self.rounds >= len(_rounds(wait))

    def completed(self, now: datetime, wait: timedelta) -> Ask:
        """One round later; rounds that were missed meanwhile are not made up for."""
        passed = sum(now >= self._ended + age for age in _rounds(wait))
        return Ask(hour=self.hour, rounds=max(passed, self.rounds + 1))

    def page_done(self, last: str) -> Ask:
        return replace(self, after=last, targets=0)

    @property
    def _ended(self) -> datetime:
        return datetime.strptime(self.hour, _HOUR).replace(tzinfo=UTC) + timedelta(hours=1)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, value: dict[str, Any]) -> Ask:
        return cls(**value)


def hour_of(time: datetime) -> str:
    """The hour of UTC as records name it, such as `2026-05-31T14`."""
    return time.astimezone(UTC).strftime(_HOUR)


def _rounds(wait: timedelta) -> list[timedelta]:
    """How long after the hour each round is: three times as long as the one before, and at last `wait`."""
    rounds, age = [], _FIRST
    while age < wait:
        rounds.append(age)
        age *= _GROWTH
    return [*rounds, wait] if wait else []
