"""Running a sync the way the command does, and comparing what it leaves in a store."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from kaizen.store import StoreSettings, open_store
from kaizen.sync import ModelSettings, PhoenixSettings, PhoenixSource, Sync, SyncSettings
from tests.support.postgres import database, is_url
from tests.support.slow import SLOW

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.store import Store
    from kaizen.sync import Report
    from kaizen.sync.sources.base import Source

MODEL = "openai/gpt-4.1-mini"


# What stories, kills and two syncs at once are held to: the default, and in CI all.
BACKENDS = ("sqlite", "filesystem", "postgres") if SLOW else ("sqlite",)


def open_data_dir(data_dir: Path, backend: str = "filesystem") -> Store:
    """The store of that directory; `backend` may be the URL of a PostgreSQL, with a database for each."""
    if is_url(backend):
        backend = database(backend, hashlib.blake2b(str(data_dir).encode(), digest_size=8).hexdigest())
    return open_store(StoreSettings(data_dir=data_dir).at(backend))


def make_sync(source: Source, store: Store, **settings: Any) -> Sync:
    settings = {"quiet_s": 0.0, **settings}
    models = ModelSettings(tips_model=MODEL, reconcile_model=MODEL, timeout_s=10, attempts=1)
    return Sync(source, store, SyncSettings(**settings), models)


def run_sync(
    phoenix_url: str, project: str, data_dir: Path, *, backend: str = "filesystem", **settings: Any
) -> Report:
    """One sync into the store of that directory, with the model that the environment names."""
    where = PhoenixSettings(base_url=phoenix_url, project=project)
    with PhoenixSource(where) as source, open_data_dir(data_dir, backend) as store:
        return make_sync(source, store, **settings).run()


def snapshot(data_dir: Path, backend: str = "filesystem") -> dict[str, Any]:
    """What a store says, without what no two runs share: tip ids, runs, times, revisions."""
    with open_data_dir(data_dir, backend) as store:
        entities = [entity for entity in store.iterate("kaizen") if entity.type not in ("run", "claim")]
    names = {entity.id: f"tip:{entity.content}" for entity in entities if entity.type == "guideline"}
    for entity in entities:
        if entity.type == "evidence":
            names[entity.id] = (
                f"evidence of {entity.metadata['story_id']} for {names[str(entity.metadata['tip_id'])]}"
            )
    known: dict[str, Any] = {}
    for entity in entities:
        metadata = json.loads(json.dumps(entity.metadata))
        for ours in ("run_id", "version", "full_at", "recorded_in", "asks"):
            metadata.pop(ours, None)
        metadata["tip_ids"] = sorted(names[tip_id] for tip_id in metadata.get("tip_ids", []))
        if "tip_id" in metadata:
            metadata["tip_id"] = names[metadata["tip_id"]]
        key = names.get(entity.id, entity.id)
        assert key not in known, f"stored twice: {key}"
        known[key] = {"type": entity.type, "content": entity.content, "metadata": metadata}
    return known


def tips(data_dir: Path) -> dict[str, dict[str, Any]]:
    """The metadata of all tips by their content."""
    with open_data_dir(data_dir) as store:
        return {e.content: dict(e.metadata) for e in store.iterate("kaizen", type="guideline")}


def records(data_dir: Path) -> dict[str, dict[str, Any]]:
    """The metadata of all trace records by trace id."""
    with open_data_dir(data_dir) as store:
        return {
            str(e.metadata["trace_id"]): dict(e.metadata) for e in store.iterate("kaizen", type="trajectory")
        }
