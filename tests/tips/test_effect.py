"""What follows from a tip's measured effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kaizen.tips.effect import current_effect, holdout_probability, with_effect, wording_revision
from tests.support.stored_tips import stored_tip

if TYPE_CHECKING:
    from kaizen.tips.tip import StoredTip


def tip(status: str = "active", **metadata: object) -> StoredTip:
    return stored_tip("t", "Pay in cents.", "trace").with_metadata(status=status, **metadata)


def effect(verdict: str) -> dict[str, object]:
    return {"verdict": verdict, "revision": wording_revision(tip()), "low": 0.1}


@pytest.mark.parametrize(
    ("before", "verdict", "after"),
    [
        ("active", "helps", "active"),
        ("candidate", "helps", "active"),
        ("active", "harms", "quarantined"),
        ("candidate", "harms", "retired"),
        ("active", "no difference", "retired"),
        ("candidate", "no difference", "retired"),
        ("retired", "helps", "retired"),
        ("quarantined", "no difference", "quarantined"),
    ],
)
def test_the_status_follows_from_the_verdict(before: str, verdict: str, after: str) -> None:
    changed = with_effect(tip(before), effect(verdict), "why")
    assert changed.status == after
    assert changed.metadata["effect"] == effect(verdict)
    assert changed.sources == tip().sources
    assert with_effect(tip(before, is_pinned=True), effect(verdict)).status == before


def test_a_quarantine_says_why_beside_what_it_was_for_before() -> None:
    changed = with_effect(tip(quarantine_reason="odd words"), effect("harms"), "harms: success -9 points")
    assert changed.quarantine_reason == "odd words; harms: success -9 points"


def test_a_tip_that_made_no_difference_is_tried_again_in_other_words_unless_a_person_retired_it() -> None:
    useless = with_effect(tip(), effect("no difference"))
    again = with_effect(useless, None)
    assert (again.status, "effect" in again.metadata) == ("active", False)
    rejected = useless.with_metadata(review={"decision": "rejected"})
    assert with_effect(rejected, None).status == "retired"
    assert with_effect(with_effect(tip(), effect("harms"), "why"), None).status == "quarantined"


def test_an_effect_is_of_the_words_that_were_measured() -> None:
    proven = with_effect(tip(), effect("helps"))
    assert current_effect(proven) == effect("helps")
    assert current_effect(proven.with_content("Pay in euros.")) == {}
    assert current_effect(tip(effect=[1])) == {}


def test_a_tip_is_held_out_less_once_it_is_proven() -> None:
    assert holdout_probability(tip()) == 0.2
    assert holdout_probability(tip("candidate")) == 0.5
    assert holdout_probability(with_effect(tip(), effect("helps"))) == 0.05
    assert holdout_probability(tip(is_pinned=True)) == 0
