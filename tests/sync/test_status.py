"""How far syncs have come, and whether Phoenix and the model answer."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from kaizen.demo.faults import Fault
from kaizen.store import NotFoundError, Put, Store, StoreSettings, open_store
from kaizen.sync import (
    ModelError,
    ModelSettings,
    PhoenixSettings,
    SourceError,
    phoenix_status,
    ping_model,
    retry_failed,
    sync_status,
    utc_now,
)
from tests.support.ill_phoenix import PROJECTS, IllPhoenix
from tests.support.listed import ListedSource, one_call
from tests.support.syncing import MODEL, make_sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen.demo.model_server import ModelServer

N = "kaizen"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(StoreSettings(data_dir=tmp_path)) as store:
        store.create_namespace(N)
        yield store


def test_a_namespace_without_a_sync_has_nothing_to_tell(store: Store) -> None:
    empty = {"namespace": N, "checkpoints": [], "runs": [], "failed": []}
    assert sync_status(store, N).to_json() == empty
    with pytest.raises(NotFoundError):
        sync_status(store, "nowhere")


def test_projects_runs_and_failures_are_told_and_failed_traces_can_be_retried(
    store: Store, scripted: ModelServer
) -> None:
    source = ListedSource(
        [one_call("t", 0, [{"role": "user", "content": "What is LESSON-alpha about?"}], "That.")]
    )
    scripted.fail(Fault(kind="status", status=400, body="no"), times=None)
    report = make_sync(source, store).run()
    assert report.states["failed"] == 1
    status = sync_status(store, N)
    assert [(one.project, dict(one.states)) for one in status.projects] == [("stories", {"failed": 1})]
    assert [(run["run_id"], run["state"]) for run in status.runs] == [(report.run_id, "ended")]
    assert [(one.trace_id, one.attempts) for one in status.failed] == [("t", 1)]

    with pytest.raises(NotFoundError, match="no failed trace x"):
        retry_failed(store, N, ["t", "x"])
    assert sync_status(store, N).failed[0].attempts == 1
    assert retry_failed(store, N) == ["t"]
    assert sync_status(store, N).failed[0].attempts == 0


def test_a_run_is_at_work_as_long_as_its_claim_is_alive(store: Store) -> None:
    from kaizen.sync.state.records import Claim

    run = {"run_id": "r", "ended": False}
    claim = Claim(run_id="r", source="phoenix", project="p")
    store.commit(N, [claim.to_put(), Put(id="run:r", type="run", content="", metadata=run)])
    assert sync_status(store, N).runs[0]["state"] == "running"
    later = sync_status(store, N, clock=lambda: utc_now() + timedelta(minutes=6))
    assert later.runs[0]["state"] == "broke off"


def test_phoenix_says_its_version_its_projects_and_how_it_is_read() -> None:
    with IllPhoenix(PROJECTS) as server:
        status = phoenix_status(PhoenixSettings(base_url=server.url))
    assert (status.version, status.reading, status.projects) == ("20.26.1", "index", ["p"])
    with pytest.raises(SourceError):
        phoenix_status(PhoenixSettings(base_url=server.url, timeout_s=1))


def test_a_model_is_asked_once_whether_it_answers(scripted: ModelServer) -> None:
    settings = ModelSettings(tips_model=MODEL)
    ping_model(MODEL, settings)
    scripted.clear()
    scripted.fail(Fault(kind="status", status=500, body="no"), times=None)
    with pytest.raises(ModelError):
        ping_model(MODEL, settings)
    assert len(scripted.requests) == 1
