"""Durations as people write them."""

from __future__ import annotations

import pytest

from kaizen.sync.durations import format_duration, parse_duration
from kaizen.sync.errors import SettingsError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("30", 30),
        (" 90s ", 90),
        ("1.5m", 90),
        ("2h", 7_200),
        ("2h30m", 9_000),
        ("1d12h", 129_600),
        ("7d", 604_800),
    ],
)
def test_a_duration_is_a_number_with_a_unit_or_several(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "5 m", "m", "1w", "1h30", "1e3", "nan", "inf", "٣s"])
def test_what_is_not_one_is_shown_with_examples(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_duration(text)
    assert str(caught.value) == f"'{text}' is not a duration; write it like 30s, 5m, 2h30m or 7d"


@pytest.mark.parametrize(
    ("text", "says"), [("0", "too short; write 1m or more"), ("25h", "too long; write 1d or less")]
)
def test_a_bound_is_said(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=f"'{text}' is {says}"):
        parse_duration(text, at_least_s=60, at_most_s=86_400)


def test_no_duration_is_too_long_for_a_date() -> None:
    with pytest.raises(SettingsError, match="too long; write 36525d or less"):
        parse_duration("9" * 30 + "d")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.1, "0.1s"), (90, "90s"), (120, "2m"), (7_200, "2h"), (172_800, "2d")]
)
def test_a_duration_is_written_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
    assert parse_duration(text) == seconds
