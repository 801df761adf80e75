"""Agents' runs as the store keeps them, and what is wrong with syncs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kaizen.store import NotFoundError, open_store
from kaizen.sync import check_syncs, find_runs, get_run, latest_runs, problems_of, run_id_of, sync_status
from kaizen.sync.status import FailedTrace, SyncStatus
from tests.support.paging import fill_with_runs
from tests.support.stored_tips import changes_of, stored_tip

if TYPE_CHECKING:
    from pathlib import Path


def test_runs_are_listed_newest_first_and_page_by_page(tmp_path: Path) -> None:
    with open_store(fill_with_runs(tmp_path, runs=24, syncs=2)) as store:
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = latest_runs(store, "kaizen", before=cursor, limit=5)
            seen += [run.started_at for run in page.runs if run.started_at]
            if page.cursor is None:
                break
            cursor = page.cursor
        learned = find_runs(store, "kaizen", state="learned").runs
        assert seen == sorted(seen, reverse=True)
        assert len(set(seen)) == 24 - len(find_runs(store, "kaizen", state="skipped").runs)
        assert {run.state for run in learned} == {"learned"}
        run, trajectory = get_run(store, "kaizen", learned[0].entity_id)
        assert run == learned[0]
        assert run.entity_id == run_id_of(run.source, run.project, run.trace_id)
        assert trajectory is not None
        assert trajectory.messages[1].role == "user"
        assert list(check_syncs(sync_status(store, "kaizen"))) == []
        # The last commits are no sync's.
        for number in range(3):
            store.commit("kaizen", changes_of(*[stored_tip(f"{number}-{n}", "Do it.") for n in range(1_200)]))
        assert latest_runs(store, "kaizen", limit=5).runs
        with pytest.raises(NotFoundError):
            get_run(store, "kaizen", "0-1")


def test_what_is_wrong_is_said_failures_first() -> None:
    runs = [
        {"source": "phoenix", "project": "a", "state": "broke off"},
        {"source": "phoenix", "project": "a", "state": "ended", "stopped": True},
        {"source": "phoenix", "project": "b", "state": "ended", "refusal": "no key"},
        {"source": "phoenix", "project": "c", "state": "ended", "reading": "spans"},
    ]
    failed = [FailedTrace(project="a", trace_id="t", attempts=3, reason="unreadable")]
    status = SyncStatus(namespace_id="kaizen", projects=(), runs=runs, failed=failed)
    found = problems_of(check_syncs(status))
    assert [(check.name, check.status) for check in found] == [
        ("sync", "fail"),
        ("traces", "fail"),
        ("sync", "note"),
        ("sync", "note"),
    ]
    assert found[0].detail == "the last sync of 'b': no key"
    assert found[1].advice == "kaizen sync retry"
