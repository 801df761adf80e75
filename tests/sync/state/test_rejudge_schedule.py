"""When traces that were learned from are asked for again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kaizen.sync.state.rejudge_schedule import Ask, hour_of

WEEK = timedelta(days=7)
ENDED = datetime(2026, 5, 31, 15, tzinfo=UTC)
ASK = Ask(hour="2026-05-31T14")


def hours_due(wait: timedelta) -> list[float]:
    """How many hours after its own an hour is asked for, by a sync every quarter of an hour."""
    ask, due = ASK, []
    for quarter in range(4 * 24 * 30):
        now = ENDED + timedelta(minutes=15 * quarter)
        if ask.is_due(now, wait):
            due.append(quarter / 4)
            ask = ask.completed(now, wait)
    assert ask.is_over(wait)
    return due


@pytest.mark.parametrize(
    ("wait", "due"),
    [
        (WEEK, [1, 3, 9, 27, 81, 168]),
        (timedelta(hours=12), [1, 3, 9, 12]),
        (timedelta(minutes=30), [0.5]),
        (timedelta(0), []),
    ],
)
def test_an_hour_is_asked_for_ever_more_rarely_and_at_last_when_the_wait_is_over(
    wait: timedelta, due: list[float]
) -> None:
    assert hours_due(wait) == due


def test_rounds_that_were_missed_are_not_made_up_for() -> None:
    late = ENDED + timedelta(hours=30)
    asked = ASK.completed(late, WEEK)
    assert asked.rounds == 4
    assert not asked.is_due(late, WEEK)
    assert ASK.completed(ENDED + timedelta(days=30), WEEK).is_over(WEEK)


def test_a_round_that_is_done_starts_the_next_one_at_the_first_record() -> None:
    under_way = ASK.page_done("trajectory:x")
    assert under_way.after == "trajectory:x"
    assert under_way.completed(ENDED + timedelta(hours=1), WEEK) == Ask(hour=ASK.hour, rounds=1)


def test_an_hour_is_one_of_utc() -> None:
    assert hour_of(datetime.fromisoformat("2026-05-31T16:59:59+02:00")) == "2026-05-31T14"


def test_an_ask_is_read_back_as_it_was_kept() -> None:
    ask = Ask(hour=ASK.hour, rounds=2, after="trajectory:x", targets=1)
    assert Ask.of_json(ask.to_json()) == ask
