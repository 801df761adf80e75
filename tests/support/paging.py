"""Stores to look at through pages: empty, small, with runs that were measured, and with hostile texts."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from starlette.testclient import TestClient

from kaizen.demo.experiment import play_experiment
from kaizen.store import StoreSettings, open_store
from tests.support.serving import HERE, app_of, bearer
from tests.support.stored_tips import changes_of, stored_tip, tip_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kaizen.store import Store

NAMESPACE = "kaizen"
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)> \"' {{ 7*7 }} \x1b[31mred\x07 "
    "\u202egnp.exe\u200b\U000e0041 javascript:alert(1)"
)


@contextmanager
def looking(store: Store, where: StoreSettings, name: str = "ann", **settings: str) -> Iterator[TestClient]:
    """A client of that person's, over a store that is open."""
    app = app_of(store, where, **settings)
    with TestClient(app, base_url=HERE, headers=bearer(name), follow_redirects=False) as client:
        yield client


def settings_in(directory: Path) -> StoreSettings:
    return StoreSettings(data_dir=directory / "store", embedder="none")


def fill_with_runs(directory: Path, *, runs: int = 60, syncs: int = 2) -> StoreSettings:
    """Make a store whose tips were learned from runs, and tried in later ones."""
    where = settings_in(directory)
    with open_store(where) as store:
        play_experiment(store, NAMESPACE, runs=runs, syncs=syncs)
    return where


def hostile_tips(store: Store) -> None:
    """Store tips all of whose texts want to break out, one of which waits for review."""
    store.create_namespace(NAMESPACE)
    fields = {
        "trigger": HOSTILE,
        "rationale": HOSTILE,
        "task_description": HOSTILE,
        "category": HOSTILE,
        "quarantine_reason": f"it orders: '{HOSTILE[:40]}'",
        "signature": {"tool": HOSTILE, "error": HOSTILE},
        "tools": {HOSTILE: "1"},
        "counterexamples": [HOSTILE],
        "implementation_steps": [HOSTILE],
    }
    source = tip_source(
        "trace-1", quote=HOSTILE, url="javascript:alert(1)", judged_by=HOSTILE, project=HOSTILE
    )
    tips = [
        stored_tip("hostile/../1", HOSTILE).with_source(source).with_metadata(**fields),
        stored_tip("hostile?2#", HOSTILE).with_metadata(**fields, status="quarantined"),
        stored_tip("long", "x" * 2_000_000).with_metadata(trigger="y" * 2_000_000),
    ]
    store.commit(NAMESPACE, changes_of(*tips), actor=HOSTILE, reason=HOSTILE)
