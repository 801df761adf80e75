"""Which annotations count, by the environment; and what cannot be meant."""

from __future__ import annotations

import pytest

from kaizen.sync import OutcomeRules, OutcomeSettings, SettingsError


def read(**environ: str) -> OutcomeSettings:
    return OutcomeSettings.from_environ({f"KAIZEN_OUTCOME_{name}": text for name, text in environ.items()})


def test_what_is_not_set_or_empty_is_as_usual() -> None:
    assert read() == read(NAMES="", WAIT="", SUCCESS_SCORE="") == OutcomeSettings()
    assert read().rules == OutcomeRules()


def test_every_variable_is_read() -> None:
    settings = read(
        NAMES="stars, my verdict ,",
        SUCCESS_LABELS="gold",
        FAILURE_LABELS="tin,lead",
        SUCCESS_SCORE="4",
        FAILURE_SCORE="-1.5",
        INNER_SPANS="yes",
        WAIT="12h",
    )
    assert settings.wait_s == 43_200
    assert settings.rules == OutcomeRules(
        names=("stars", "my verdict"),
        success_labels=("gold",),
        failure_labels=("tin", "lead"),
        success_score=4,
        failure_score=-1.5,
        include_inner_spans=True,
    )


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("90", 90), ("1.5m", 90), ("7d", 604_800), ("366d", 31_622_400)]
)
def test_a_wait_is_a_duration(text: str, seconds: float) -> None:
    assert read(WAIT=text).wait_s == seconds


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("NAMES", " , "),
        ("SUCCESS_SCORE", "high"),
        ("SUCCESS_SCORE", "nan"),
        ("FAILURE_SCORE", "inf"),
        ("SUCCESS_SCORE", "0.3"),
        ("FAILURE_SCORE", "0.9"),
        ("INNER_SPANS", "maybe"),
        ("WAIT", "soon"),
        ("WAIT", "-1d"),
        ("WAIT", "367d"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_name(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"KAIZEN_OUTCOME_{name}"):
        read(**{name: text})
