"""Which of tips that contradict each other stands, and that it follows the evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kaizen.tips.contradictions import backing, record_contradiction
from kaizen.tips.contradictions import resolve_contradictions as resolve
from kaizen.tips.tip import StoredTip


def evidence(*stories: str, outcome: str = "unknown", verified: bool = True) -> list[dict[str, Any]]:
    return [
        {"trace_id": story, "story_id": story, "span_id": "s", "outcome": outcome, "verified": verified}
        for story in stories
    ]


def tip(tip_id: str, *sources: dict[str, Any], **metadata: Any) -> StoredTip:
    given = {"status": "active", "creation_mode": "auto-phoenix", "sources": list(sources), **metadata}
    return StoredTip(id=tip_id, content=f"tip {tip_id}", metadata=given)


def known(*tips: StoredTip) -> dict[str, StoredTip]:
    return {one.id: one for one in tips}


def statuses(tips: dict[str, StoredTip]) -> dict[str, str]:
    return {tip_id: str(one.metadata["status"]) for tip_id, one in sorted(tips.items())}


def contradicting(one: StoredTip, other: StoredTip) -> dict[str, StoredTip]:
    return known(*record_contradiction(one, other, "one says, the other denies"))


def with_stories(one: StoredTip, *stories: str, outcome: str = "unknown") -> StoredTip:
    sources = evidence(*stories, outcome=outcome)
    return replace(
        one, metadata={**one.metadata, "sources": sources, "support_by": None, "schema_version": 1}
    )


def test_the_better_backed_one_stands_and_the_other_keeps_its_evidence() -> None:
    both = contradicting(tip("new", *evidence("c")), tip("old", *evidence("a", "b")))

    after = resolve(both, {})

    assert statuses(after) == {"new": "retired", "old": "active"}
    assert [source["trace_id"] for source in after["new"].sources] == ["c"]
    assert after["new"].metadata["retired_for"] == "old"
    assert after["new"].metadata["contradicts"] == ["old"]
    assert after["old"].metadata["contradicted_by"] == ["new"]
    assert after["new"].metadata["contradictions"] == {"old": "one says, the other denies"}


def test_of_two_that_are_backed_alike_both_stand() -> None:
    after = resolve(contradicting(tip("new", *evidence("b")), tip("old", *evidence("a"))), {})

    assert statuses(after) == {"new": "active", "old": "active"}


def test_evidence_that_shifts_brings_the_other_back() -> None:
    before = resolve(contradicting(tip("new", *evidence("c")), tip("old", *evidence("a", "b"))), {})
    more = with_stories(before["new"], "c", "d", "e")

    after = resolve(known(more), before)

    assert statuses(after) == {"new": "active", "old": "retired"}
    assert after["old"].metadata["retired_for"] == "new"
    assert "retired_for" not in after["new"].metadata


def test_evidence_that_makes_both_alike_brings_the_retired_one_back() -> None:
    before = resolve(contradicting(tip("new", *evidence("c")), tip("old", *evidence("a", "b"))), {})

    after = resolve(known(with_stories(before["old"], "a")), before)

    assert statuses(after) == {"new": "active", "old": "active"}


def test_a_tip_whose_evidence_is_withdrawn_contradicts_nothing_any_more() -> None:
    before = resolve(contradicting(tip("new", *evidence("c")), tip("old", *evidence("a", "b"))), {})

    after = resolve(known(with_stories(before["old"])), before)

    assert after["new"].metadata["status"] == "active"
    assert after["new"].opponents == []
    assert not {"contradicts", "contradictions", "retired_for"} & set(after["new"].metadata)


def test_what_a_person_wrote_stands_and_never_gives_way() -> None:
    by_hand = tip("old", creation_mode="manual")

    after = resolve(contradicting(tip("new", *evidence("a", "b", "c")), by_hand), {})

    assert statuses(after) == {"new": "retired", "old": "active"}


def test_what_a_person_rejected_stays_so_and_has_no_say() -> None:
    rejected = tip("old", *evidence("a", "b"), status="retired", review={"decision": "rejected"})

    after = resolve(contradicting(tip("new", *evidence("c")), rejected), {})

    assert statuses(after) == {"new": "active", "old": "retired"}


@pytest.mark.parametrize("status", ["quarantined", "retired"])
def test_what_was_taken_off_for_another_reason_stays_so(status: str) -> None:
    both = contradicting(tip("new", *evidence("a", "b"), status=status), tip("old", *evidence("c")))

    assert statuses(resolve(both, {})) == {"new": status, "old": "active"}


def test_a_retired_tip_retires_no_other() -> None:
    strong, middle, weak = (
        tip("a", *evidence("1", "2", "3")),
        tip("b", *evidence("4", "5")),
        tip("c", *evidence("6")),
    )
    middle, strong = record_contradiction(middle, strong, "")
    weak, middle = record_contradiction(weak, middle, "")

    assert statuses(resolve(known(strong, middle, weak), {})) == {
        "a": "active",
        "b": "retired",
        "c": "active",
    }


def test_settling_again_changes_nothing() -> None:
    once = resolve(contradicting(tip("new", *evidence("c")), tip("old", *evidence("a", "b"))), {})

    assert resolve(once, once) == once
    assert resolve({}, once) == {}


def test_tips_without_contradictions_are_left_alone() -> None:
    tips = known(tip("a", *evidence("1")), tip("b"))

    assert resolve(tips, {}) == tips


def test_stories_that_did_not_fail_count_first_then_those_that_succeeded() -> None:
    failed = tip("failed", *evidence("a", "b", "c", outcome="failure"))
    unknown = tip("unknown", *evidence("d"))
    succeeded = tip("succeeded", *evidence("e", outcome="success"))

    assert backing(failed) < backing(unknown) < backing(succeeded) < backing(tip("two", *evidence("f", "g")))


def test_only_distinct_stories_with_verified_evidence_count() -> None:
    twice = tip("twice", *evidence("a"), *evidence("a"))
    invented = tip("invented", *evidence("a"), *evidence("b", verified=False))

    assert backing(twice) == backing(invented) == backing(tip("once", *evidence("a")))
