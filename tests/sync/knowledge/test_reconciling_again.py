"""What a sync remembers of its decisions, what words decide without a model, and that no evidence is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen.store import StoreError
from kaizen.sync import ModelError
from kaizen.sync.knowledge import similarity
from kaizen.sync.knowledge.reconcile import NewTip, Reconciler
from kaizen.sync.knowledge.similarity import SimilarityIndex, load_embedder
from kaizen.sync.llm.schemas import Decision, DecisionsAnswer
from kaizen.tips.contradictions import resolve_contradictions
from kaizen.tips.tip import StoredTip, Tip, TipSource

if TYPE_CHECKING:
    from kaizen.sync.knowledge.reconcile import Reconciled

RETRY = "Retry failed payments before reporting."
RETRY_ALIKE = "Retry a failed payment, then report it."
NEVER_RETRY = "Never retry failed payments before reporting."
STRANGER = "Translate city names into English."


@pytest.fixture(autouse=True, scope="module")
def embedder_loaded_once() -> Iterator[None]:
    loaded = load_embedder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "load_embedder", lambda: loaded)
        yield


class PlayedModel:
    """Plays a model in the process: decides by a function of what it is shown, and counts the calls."""

    name = "played"

    def __init__(self, decide: Callable[[list[str], list[str]], list[dict[str, Any]]]) -> None:
        self._decide = decide
        self.shown: list[tuple[list[str], list[str]]] = []

    def ask(self, *, user: str, **_: Any) -> DecisionsAnswer:
        new, known = (
            [
                line.partition(". ")[2].rpartition(" (when: ")[0]
                for line in part.splitlines()
                if line[:1].isdigit()
            ]
            for part in user.split("KNOWN tips:")
        )
        self.shown.append((new, known))
        empty = {"known": None, "content": None}
        return DecisionsAnswer(decisions=[Decision(**{**empty, **one}) for one in self._decide(new, known)])


def always(decision: str, content: str | None = None) -> PlayedModel:
    """Decides so of every new tip and the first known one."""
    return PlayedModel(
        lambda new, _: [
            {"new": n, "decision": decision, "known": 1, "content": content} for n in range(1, len(new) + 1)
        ]
    )


def source(story: str, outcome: str = "unknown", *, verified: bool = True) -> TipSource:
    return TipSource(
        source="phoenix",
        project="p",
        trace_id=story,
        span_id="s",
        quote="q",
        outcome=outcome,
        url="",
        verified=verified,
    )


def tip(content: str, trigger: str = "when paying") -> Tip:
    return Tip(
        content=content,
        category="strategy",
        rationale="",
        trigger=trigger,
        implementation_steps=(),
        task_description="",
        quote="q",
    )


def stored(
    tip_id: str, content: str, *stories: str, trigger: str = "when paying", **metadata: Any
) -> StoredTip:
    first, *more = stories or ("old",)
    made = StoredTip.create(tip_id, tip(content, trigger), source(first), quarantine_reason="", provenance={})
    for story in more:
        made = made.with_source(source(story))
    return replace(made, metadata={**made.metadata, **metadata})


def learned(tip_id: str, content: str, story: str = "new", trigger: str = "when paying") -> NewTip:
    worded = tip(content, trigger)
    create = partial(StoredTip.create, tip_id, worded, source(story), quarantine_reason="", provenance={})
    return NewTip(tip=worded, source=source(story), create=create)


def known(*tips: StoredTip) -> dict[str, StoredTip]:
    return {one.id: one for one in tips}


def counts(result: Reconciled) -> tuple[int, int, int, int]:
    """created, duplicates, merged, contradicting"""
    return result.created, result.duplicates, result.merged, result.contradicting


def ask_ahead(reconciler: Reconciler, story: str, new: list[NewTip], tips: Mapping[str, StoredTip]) -> None:
    """What a sync does for a story that is told and waits for its turn."""
    if question := reconciler.prefetch_question(story, new, tips):
        reconciler.record_answer(story, question, reconciler.ask(question))


def take_turn(
    reconciler: Reconciler, new: Sequence[NewTip], tips: Mapping[str, StoredTip], story: str = ""
) -> Reconciled:
    """What it does when that is a story's turn."""
    if question := reconciler.question(story, new, tips):
        reconciler.record_answer(story, question, reconciler.ask(question))
    result = reconciler.reconcile(new, tips)
    reconciler.finish(story)
    return result


@pytest.mark.parametrize("decision", ["duplicate", "merge", "contradicts"])
def test_opposites_contradict_each_other_whatever_the_model_calls_them(decision: str) -> None:
    reconciler = Reconciler(always(decision, "Both."))  # type: ignore[arg-type]

    result = take_turn(reconciler, [learned("n1", NEVER_RETRY)], known(stored("k1", RETRY)))

    assert counts(result) == (1, 0, 0, 1)
    assert result.tips["n1"].content == NEVER_RETRY
    assert result.tips["k1"].content == RETRY
    assert "Never retry" in result.tips["n1"].metadata["contradictions"]["k1"]
    assert result.backed_ids == ["n1"]


def test_tips_that_differ_in_a_number_are_merged_but_never_one_for_the_other() -> None:
    other = "Retry failed payments 5 times before reporting."
    twice = known(stored("k1", "Retry failed payments 2 times before reporting."))

    duplicate = take_turn(Reconciler(always("duplicate")), [learned("n1", other)], twice)  # type: ignore[arg-type]
    merged = take_turn(Reconciler(always("merge", "2 to 5")), [learned("n1", other)], twice)  # type: ignore[arg-type]

    assert counts(duplicate) == (1, 0, 0, 0)
    assert counts(merged) == (0, 0, 1, 0)


def test_an_opposite_that_the_model_leaves_out_is_named_as_one() -> None:
    reconciler = Reconciler(PlayedModel(lambda *_: []))  # type: ignore[arg-type]

    result = take_turn(reconciler, [learned("n1", NEVER_RETRY)], known(stored("k1", RETRY)))

    assert counts(result) == (1, 0, 0, 1)


def test_planning_again_asks_nothing_where_nothing_relevant_changed() -> None:
    model = always("duplicate")
    reconciler = Reconciler(model)  # type: ignore[arg-type]
    before = known(stored("k1", RETRY))

    first = take_turn(reconciler, [learned("n1", RETRY_ALIKE)], before)
    elsewhere = {**before, "k2": stored("k2", STRANGER)}
    backed = {**before, "k1": before["k1"].with_source(source("other"))}

    assert counts(take_turn(reconciler, [learned("n1", RETRY_ALIKE)], elsewhere)) == counts(first)
    again = take_turn(reconciler, [learned("n1", RETRY_ALIKE)], backed)
    assert [one["trace_id"] for one in again.tips["k1"].sources] == ["old", "other", "new"]
    assert len(model.shown) == 1


def test_planning_again_asks_only_about_what_was_not_asked_before() -> None:
    model = always("new")
    reconciler = Reconciler(model)  # type: ignore[arg-type]
    before = known(stored("k1", RETRY))
    take_turn(reconciler, [learned("n1", RETRY_ALIKE), learned("n2", STRANGER)], before)
    meanwhile = stored("k2", "Retry each failed payment and report it.")

    take_turn(reconciler, [learned("n1", RETRY_ALIKE), learned("n2", STRANGER)], {**before, "k2": meanwhile})

    assert model.shown == [([RETRY_ALIKE], [RETRY]), ([RETRY_ALIKE], [meanwhile.content])]


def test_planning_again_asks_about_a_tip_that_was_reworded_meanwhile() -> None:
    model = always("duplicate")
    reconciler = Reconciler(model)  # type: ignore[arg-type]
    take_turn(reconciler, [learned("n1", RETRY_ALIKE)], known(stored("k1", RETRY)))

    reworded = stored("k1", "Retry failed payments, and report them.")
    take_turn(reconciler, [learned("n1", RETRY_ALIKE)], known(reworded))

    assert [shown for _, shown in model.shown] == [[RETRY], [reworded.content]]


def test_what_others_committed_meanwhile_makes_an_exact_duplicate() -> None:
    model = always("new")
    reconciler = Reconciler(model)  # type: ignore[arg-type]
    assert counts(take_turn(reconciler, [learned("n1", RETRY)], {})) == (1, 0, 0, 0)

    result = take_turn(reconciler, [learned("n1", RETRY)], known(stored("k9", RETRY, "other")))

    assert counts(result) == (0, 1, 0, 0)
    assert result.tips["k9"].metadata["support"] == 2
    assert model.shown == []


def test_what_was_asked_ahead_is_not_asked_again() -> None:
    model = always("duplicate")
    reconciler = Reconciler(model)  # type: ignore[arg-type]
    before, new = known(stored("k1", RETRY)), [learned("n1", RETRY_ALIKE), learned("n2", STRANGER)]

    ask_ahead(reconciler, "s1", new, before)
    assert len(model.shown) == 1

    assert counts(take_turn(reconciler, new, before, "s1")) == (1, 1, 0, 0)
    assert len(model.shown) == 1


def test_the_tips_of_stories_that_wait_are_asked_about_before_they_are_known() -> None:
    model = always("new")
    reconciler = Reconciler(model)  # type: ignore[arg-type]
    first, second = [learned("n1", RETRY, "s1")], [learned("n2", RETRY_ALIKE, "s2")]
    for story, new in (("s1", first), ("s2", second)):
        ask_ahead(reconciler, story, new, {})
    assert model.shown == [([RETRY_ALIKE], [RETRY])]

    tips = take_turn(reconciler, first, {}, "s1").tips
    assert counts(take_turn(reconciler, second, tips, "s2")) == (1, 0, 0, 0)
    assert len(model.shown) == 1


def test_what_says_the_same_as_a_tip_that_did_not_come_to_be_is_compared_with_what_that_became() -> None:
    """A model may name but one of two tips that say it, and that may be the one that never was."""

    def decide(_: list[str], shown: list[str]) -> list[dict[str, Any]]:
        return [{"new": 1, "decision": "duplicate", "known": len(shown)}]

    model = PlayedModel(decide)
    reconciler = Reconciler(model)  # type: ignore[arg-type]
    other = "Retry each failed payment and report it."
    before = known(stored("k1", RETRY))
    first, second = [learned("n1", other, "s1")], [learned("n2", RETRY_ALIKE, "s2")]
    for story, new in (("s1", first), ("s2", second)):
        ask_ahead(reconciler, story, new, before)
    assert [shown for _, shown in model.shown] == [[RETRY], [RETRY, other]]

    result = take_turn(reconciler, first, before, "s1")
    assert counts(result) == (0, 1, 0, 0)
    result = take_turn(reconciler, second, {**before, **result.tips}, "s2")

    assert model.shown[2:] == [([RETRY_ALIKE], [RETRY])]
    assert counts(result) == (0, 1, 0, 0)
    assert stories(result.tips["k1"]) == {"old", "s1", "s2"}


def test_a_story_that_waits_is_asked_about_again_where_others_became_something_else() -> None:
    model = PlayedModel(lambda _, shown: [{"new": 1, "decision": "duplicate", "known": len(shown)}])
    reconciler = Reconciler(model)  # type: ignore[arg-type]
    texts = (RETRY_ALIKE, "Retry each failed payment and report it.", "Retry what payments failed first.")
    new = {f"s{n}": [learned(f"n{n}", text, f"s{n}")] for n, text in enumerate(texts)}
    tips = known(stored("k1", RETRY))
    for story, tips_of_story in new.items():
        ask_ahead(reconciler, story, tips_of_story, tips)
        ask_ahead(reconciler, story, tips_of_story, tips)
    waiting = sorted(texts[:2], key=lambda text: -likeness(texts[2], text))
    assert [shown for _, shown in model.shown] == [[RETRY], [RETRY, texts[0]], [RETRY, *waiting]]

    # Each was found to say the same as the one before it. That becomes what is known, so they do as well.
    tips |= take_turn(reconciler, new["s0"], tips, "s0").tips
    for story in ("s1", "s2"):
        ask_ahead(reconciler, story, new[story], tips)
    tips |= take_turn(reconciler, new["s1"], tips, "s1").tips
    ask_ahead(reconciler, "s2", new["s2"], tips)
    tips |= take_turn(reconciler, new["s2"], tips, "s2").tips

    assert stories(tips["k1"]) == {"old", *new}
    assert len(model.shown) <= 6


def test_a_story_that_says_what_is_known_and_what_others_say_is_asked_about_once() -> None:
    """What the others say becomes what is known, and that it says the same as that was answered, too."""
    model = PlayedModel(
        lambda _, shown: [
            {"new": 1, "decision": "duplicate", "known": number} for number in range(1, len(shown) + 1)
        ]
    )
    reconciler = Reconciler(model)  # type: ignore[arg-type]
    tips = known(stored("k1", RETRY))
    texts = (RETRY_ALIKE, "Retry each failed payment and report it.", "Retry what payments failed first.")
    new = {f"s{n}": [learned(f"n{n}", text, f"s{n}")] for n, text in enumerate(texts)}
    for story, tips_of_story in new.items():
        ask_ahead(reconciler, story, tips_of_story, tips)
    assert [len(shown) for _, shown in model.shown] == [1, 2, 3]

    for story, tips_of_story in new.items():
        tips |= take_turn(reconciler, tips_of_story, tips, story).tips

    assert len(model.shown) == 3
    assert stories(tips["k1"]) == {"old", *new}


def test_what_says_the_same_counts_before_what_says_the_opposite_and_is_more_alike() -> None:
    new = "Always retry failed payments before reporting."
    same_words = "Retry each failed payment, then report."
    opposite, same = stored("k1", NEVER_RETRY), stored("k2", same_words)
    assert likeness(new, NEVER_RETRY) > likeness(new, same_words)

    def decide(_: list[str], shown: list[str]) -> list[dict[str, Any]]:
        return [{"new": 1, "decision": "duplicate", "known": shown.index(same_words) + 1}]

    reconciler = Reconciler(PlayedModel(decide))  # type: ignore[arg-type]

    assert counts(take_turn(reconciler, [learned("n1", new)], known(opposite, same))) == (0, 1, 0, 0)


def test_every_opposite_that_the_model_leaves_out_is_known_as_one() -> None:
    """Or which one a tip contradicts would depend on which of them came first."""
    model = PlayedModel(lambda *_: [])
    reconciler = Reconciler(model)  # type: ignore[arg-type]
    other = stored("k2", "Always retry failed payments before reporting.")
    tips = known(stored("k1", RETRY), other)
    assert counts(take_turn(reconciler, [learned("n1", NEVER_RETRY)], tips)) == (1, 0, 0, 1)

    for one in tips.values():
        assert counts(take_turn(reconciler, [learned("n2", NEVER_RETRY)], known(one))) == (1, 0, 0, 1)
    assert len(model.shown) == 1


def test_the_same_text_twice_is_asked_about_once() -> None:
    model = always("new")
    reconciler = Reconciler(model)  # type: ignore[arg-type]
    before = known(stored("k1", RETRY))
    both = [[learned("n1", RETRY_ALIKE, "s1")], [learned("n2", RETRY_ALIKE, "s2")]]
    for story, new in zip(("s1", "s2"), both, strict=True):
        ask_ahead(reconciler, story, new, before)

    tips = {**before, **take_turn(reconciler, both[0], before, "s1").tips}
    result = take_turn(reconciler, both[1], tips, "s2")

    assert len(model.shown) == 1
    assert stories(result.tips["n1"]) == {"s1", "s2"}


def test_a_new_tip_may_be_the_same_as_two_known_ones_and_goes_to_the_most_alike() -> None:
    both = [{"new": 1, "decision": "duplicate", "known": number} for number in (2, 1, 9)]
    model = PlayedModel(lambda *_: both)
    tips = known(stored("k1", RETRY), stored("k2", "Retry each failed payment and report it."))
    new = [learned("n1", RETRY_ALIKE)]
    nearest = max(tips.values(), key=lambda one: likeness(one.content, RETRY_ALIKE))

    assert take_turn(Reconciler(model), new, tips).backed_ids == [nearest.id]  # type: ignore[arg-type]


def likeness(one: str, other: str) -> float:
    index = SimilarityIndex(load_embedder())
    index.put({"one": one, "other": other})
    return index.similarity("one", "other")


def test_what_needs_no_model_is_no_question() -> None:
    before = known(stored("k1", RETRY))
    for ask in (Reconciler.prefetch_question, Reconciler.question):
        reconciler = Reconciler(always("duplicate"))  # type: ignore[arg-type]
        same_or_strange = [learned("n1", RETRY), learned("n2", STRANGER)]
        assert ask(reconciler, "s1", same_or_strange, before) is None
        assert ask(reconciler, "s2", [], before) is None
        assert ask(Reconciler(None), "s1", [learned("n1", RETRY_ALIKE)], before) is None


def test_a_model_that_failed_is_asked_again() -> None:
    class Failing(PlayedModel):
        def ask(self, **_: Any) -> DecisionsAnswer:
            self.shown.append(([], []))
            raise ModelError("down")

    model = Failing(lambda *_: [])
    reconciler = Reconciler(model)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(ModelError):
            take_turn(reconciler, [learned("n1", RETRY_ALIKE)], known(stored("k1", RETRY)))

    assert len(model.shown) == 2


@pytest.mark.parametrize("metadata", [{"status": "retired", "retired_for": "k9"}, {"status": "quarantined"}])
def test_a_tip_that_was_taken_off_takes_evidence_and_stays_so(metadata: dict[str, Any]) -> None:
    off = stored("k1", RETRY, **metadata)
    exact = take_turn(Reconciler(None), [learned("n1", RETRY)], known(off))
    alike = take_turn(Reconciler(always("duplicate")), [learned("n1", RETRY_ALIKE)], known(off))  # type: ignore[arg-type]

    for result in (exact, alike):
        assert result.tips["k1"].metadata["status"] == metadata["status"]
        assert result.tips["k1"].metadata["support"] == 2


def test_without_a_model_words_decide_and_in_doubt_the_tip_is_new() -> None:
    tips = known(stored("k1", RETRY), stored("k2", "show_orders() returns the total of each order."))
    new = [
        learned("n1", "Always retry a failed payment before reporting."),
        learned("n2", "Never retry a failed payment before reporting."),
        learned("n3", RETRY_ALIKE),
        learned("n4", "show_orders() doesn't return the total of each order."),
        learned("n5", STRANGER),
    ]

    result = take_turn(Reconciler(None), new, tips)

    assert counts(result) == (4, 1, 0, 2)
    assert result.tips["n2"].metadata["contradicts"] == ["k1"]
    assert result.tips["n4"].metadata["contradicts"] == ["k2"]
    assert take_turn(Reconciler(None), new, tips).tips == result.tips


def test_without_an_embedder_words_are_compared_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(name: str) -> None:
        raise StoreError(f"{name} is damaged")

    monkeypatch.setattr(similarity, "load_embedder", load_embedder)
    monkeypatch.setattr("kaizen.store.embedders.load_embedder", broken)
    model = always("duplicate")
    reconciler = Reconciler(model)  # type: ignore[arg-type]
    for story in ("a", "b"):
        take_turn(reconciler, [learned("n1", RETRY_ALIKE, story)], known(stored("k1", RETRY)))

    assert len(model.shown) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "Comparing tips by their words only: wordllama is damaged"
    ]


CONTENTS = (RETRY, RETRY_ALIKE, NEVER_RETRY, "Retry failed payments two times before reporting.", STRANGER)
LESSONS = st.tuples(
    st.sampled_from(CONTENTS),
    st.sampled_from(["s1", "s2", "s3", "s4"]),
    st.sampled_from(["success", "failure", "unknown"]),
    st.sampled_from(["new", "duplicate", "merge", "contradicts"]),
    st.integers(1, 4),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(LESSONS, max_size=12))
def test_no_sequence_of_decisions_loses_or_doubles_evidence(
    lessons: list[tuple[str, str, str, str, int]],
) -> None:
    tips: dict[str, StoredTip] = {}
    taught: set[str] = set()
    for number, (content, story, outcome, decision, target) in enumerate(lessons):
        model = PlayedModel(
            lambda new, _, decision=decision, target=target: [  # type: ignore[misc]
                {"new": 1, "decision": decision, "known": target, "content": "Handle payments with care."}
            ]
        )
        worded, where = tip(content), source(story, outcome)
        create = partial(StoredTip.create, f"t{number}", worded, where, quarantine_reason="", provenance={})
        new = NewTip(tip=worded, source=where, create=create)
        result = take_turn(Reconciler(model), [new], tips)  # type: ignore[arg-type]
        before, tips = tips, {**tips, **resolve_contradictions(result.tips, tips)}

        taught.add(story)
        assert len(result.backed_ids) == 1
        assert story in stories(tips[result.backed_ids[0]])
        for tip_id, was in before.items():
            assert stories(was) <= stories(tips[tip_id])
    assert set().union(*map(stories, tips.values()), set()) == taught
    for one in tips.values():
        assert one.metadata["support"] == len(stories(one)) == len(one.sources)
        assert one.metadata["status"] in ("active", "retired")
        assert one.metadata["status"] == "active" or stands(tips, str(one.metadata["retired_for"]))


def stories(one: StoredTip) -> set[str]:
    return {evidence["trace_id"] for evidence in one.sources}


def stands(tips: Mapping[str, StoredTip], tip_id: str) -> bool:
    return tips[tip_id].metadata["status"] == "active"
