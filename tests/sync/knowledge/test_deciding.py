"""What one tip is to another as far as their words tell."""

from __future__ import annotations

import pytest

from kaizen.sync.knowledge.deciding import decide_by_text
from kaizen.sync.knowledge.similarity import BY_WORDS, WITH_MEANING, Thresholds

RETRY = "Retry failed payments before reporting."
NEVER_RETRY = "Never retry failed payments before reporting."


@pytest.mark.parametrize("thresholds", [WITH_MEANING, BY_WORDS])
def test_a_tip_is_a_duplicate_only_of_one_that_is_very_like_it(thresholds: Thresholds) -> None:
    other = "Always retry failed payments before reporting them."

    assert decide_by_text(RETRY, other, thresholds.same, thresholds).decision == "duplicate"
    assert decide_by_text(RETRY, other, thresholds.same - 0.01, thresholds).decision == "new"


@pytest.mark.parametrize("thresholds", [WITH_MEANING, BY_WORDS])
def test_a_tip_contradicts_one_that_is_like_it_and_says_the_opposite(thresholds: Thresholds) -> None:
    decided = decide_by_text(RETRY, NEVER_RETRY, thresholds.opposed, thresholds)

    assert decided.decision == "contradicts"
    assert NEVER_RETRY.rstrip(".") in decided.reason
    assert decide_by_text(RETRY, NEVER_RETRY, thresholds.opposed - 0.01, thresholds).decision == "new"


def test_opposites_are_never_duplicates_however_alike_they_are() -> None:
    assert decide_by_text(RETRY, NEVER_RETRY, 1.0, WITH_MEANING).decision == "contradicts"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Retry a failed payment 2 times.", "Retry a failed payment 5 times."),
        ("show_orders() returns order ids.", "show_order_history() returns order ids."),
        ("For 'newest' tasks: read all pages.", "For 'oldest' tasks: read all pages."),
    ],
)
def test_tips_that_differ_in_a_number_a_name_or_their_case_are_no_duplicates(one: str, other: str) -> None:
    assert decide_by_text(one, other, 1.0, WITH_MEANING).decision == "new"


def test_tips_for_different_triggers_do_not_contradict_each_other() -> None:
    cases = ("when payments are declined", "when payments are accepted")

    assert decide_by_text(RETRY, NEVER_RETRY, 1.0, WITH_MEANING, cases=cases).decision == "new"
