"""Syncs after a consolidation: what was merged away is still known, and still withdrawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kaizen.demo.model_server import Scenarios
from kaizen.sync import Consolidation, ModelSettings
from kaizen.tips.tip import StoredTip
from tests.support.listed import ListedSource, one_call
from tests.support.stored_tips import evidence_by_tip
from tests.support.syncing import MODEL, make_sync, open_data_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer
    from kaizen.store import Store
    from kaizen.sync.model import Trace

MERGED = "Remember alpha and beta."


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_data_dir(tmp_path, "sqlite") as store:
        yield store


def lesson(trace_id: str, at: int, word: str) -> Trace:
    return one_call(
        trace_id, at, [{"role": "user", "content": f"What is LESSON-{word}, asks {trace_id}?"}], "-"
    )


def sync(store: Store, *traces: Trace) -> None:
    report = make_sync(ListedSource(traces), store, full=True).run()  # type: ignore[arg-type]  # it is a source
    assert not report.failures


def consolidate(store: Store, server: ModelServer) -> None:
    group = {"members": [1, 2], "content": MERGED, "trigger": ""}
    server.scenarios += Scenarios.from_json({"groups": [{"pattern": "TIPS:", "answer": group}]})
    models = ModelSettings(reconcile_model=MODEL, timeout_s=10, attempts=1)
    assert Consolidation(store, "kaizen", models).apply().commit_id


def active(store: Store) -> dict[str, list[str]]:
    """The traces behind each active tip, by its content."""
    tips = map(StoredTip.of, store.iterate("kaizen", type="guideline", where={"status": "active"}))
    evidence = evidence_by_tip(store)
    return {tip.content: evidence[tip.id] for tip in tips}


@pytest.fixture
def traces(store: Store, scripted: ModelServer) -> list[Trace]:
    """Two traces whose tips were merged."""
    traces = [lesson("t0", 0, "alpha"), lesson("t1", 1, "alpha-beta")]
    sync(store, *traces)
    assert active(store) == {"Remember alpha.": ["t0"], "Remember alpha-beta.": ["t1"]}
    consolidate(store, scripted)
    assert active(store) == {MERGED: ["t0", "t1"]}
    return traces


@pytest.mark.parametrize("word", ["alpha", "alpha-beta"])
def test_a_lesson_in_words_that_were_merged_away_backs_the_merged_tip(
    word: str, store: Store, traces: list[Trace]
) -> None:
    sync(store, *traces, lesson("t2", 2, word))

    assert active(store) == {MERGED: ["t0", "t1", "t2"]}


@pytest.mark.parametrize("grown", ["t0", "t1"])
def test_a_trace_that_teaches_something_else_now_no_longer_backs_the_merged_tip(
    grown: str, store: Store, traces: list[Trace]
) -> None:
    others = [trace for trace in traces if trace.trace_id != grown]

    sync(store, *others, lesson(grown, 9, "gamma"))

    assert active(store) == {MERGED: [others[0].trace_id], "Remember gamma.": [grown]}


def test_a_merged_tip_that_nothing_backs_any_more_is_gone_and_learned_anew(
    store: Store, traces: list[Trace]
) -> None:
    sync(store, *(lesson(trace.trace_id, 9, "gamma") for trace in traces))
    assert active(store) == {"Remember gamma.": ["t0", "t1"]}

    sync(store, lesson("t0", 9, "gamma"), lesson("t1", 9, "gamma"), lesson("t2", 10, "alpha-beta"))

    assert active(store) == {"Remember gamma.": ["t0", "t1"], "Remember alpha-beta.": ["t2"]}
