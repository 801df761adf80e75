"""What was reported of a run is its success where no annotation says how it went."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from kaizen.store import InvalidInputError, Store, StoreSettings, open_store
from kaizen.sync import read_units, report_outcome
from kaizen.sync.model import Exposure
from kaizen.sync.state.exposures import ExposedTrace, RunMeasures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(StoreSettings(data_dir=tmp_path, embedder="none")) as store:
        store.create_namespace("kaizen")
        yield store


def expose(store: Store, unit: str, trace_id: str, *, success: bool | None = None) -> None:
    exposed = ExposedTrace(
        trace_id=trace_id,
        began_at=datetime(2026, 1, 1, tzinfo=UTC),
        exposures=(Exposure(unit=unit, shown=("tip@1",), p={"tip": 0.5}),),
        measures=RunMeasures(),
        success=success,
    )
    store.commit("kaizen", list(exposed.to_puts("phoenix", "p")))


def successes(store: Store) -> dict[str, bool | None]:
    return {unit.id: unit.success for unit in read_units(store, "kaizen")}


def report(store: Store, *, success: bool, **of: str) -> None:
    report_outcome(store, "kaizen", success=success, actor="agent", **of)


def test_a_report_says_how_a_unit_or_a_trace_went_where_nothing_else_does(store: Store) -> None:
    expose(store, "session-1", "t1")
    expose(store, "session-2", "t2")
    expose(store, "session-3", "t3")
    expose(store, "session-4", "t4", success=False)
    report(store, unit="session-1", success=True)
    report(store, trace_id="t2", success=False)
    report(store, unit="session-4", success=True)
    assert successes(store) == {"session-1": True, "session-2": False, "session-3": None, "session-4": False}


def test_a_report_may_come_before_the_trace_and_the_last_one_counts(store: Store) -> None:
    report(store, unit="session-1", success=True)
    report(store, unit="session-1", success=False)
    expose(store, "session-1", "t1")
    assert successes(store) == {"session-1": False}
    assert store.count("kaizen", type="outcome") == 1


@pytest.mark.parametrize("of", [{}, {"unit": "a", "trace_id": "b"}, {"unit": "x" * 300}, {"unit": "a\nb"}])
def test_a_report_is_of_one_unit_or_one_trace(store: Store, of: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        report(store, success=True, **of)
