"""Telling Phoenix what became of traces: one annotation of each, so that people see it where they look."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from kaizen.sync.errors import SettingsError
from kaizen.sync.outcomes.rules import OWN_NAME
from kaizen.sync.sources.phoenix.client import connected

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import httpx
    from phoenix.client import Client

    from kaizen.sync.settings import PhoenixSettings
    from kaizen.sync.state.records import TraceRecord
    from kaizen.sync.state.report import Report

_log = logging.getLogger(__name__)

_BATCH = 100
_NOT_FOUND = 404


class Annotator(Protocol):
    """Tells somebody what became of traces. Never raises: a sync does not depend on it."""

    def add(self, records: Iterable[TraceRecord], report: Report) -> None:
        """Note traces that were committed, now or when there are more."""
        ...

    def close(self, report: Report) -> None:
        """Tell what was noted and not told yet."""
        ...


class PhoenixAnnotator:
    """Annotates traces through Phoenix's own client; another run of the same namespace writes over it.

    Making one raises `SettingsError` where the client is not installed.
    """

    def __init__(self, settings: PhoenixSettings) -> None:
        require_client()
        self._settings = settings
        self._client: Client | None = None
        self._http: httpx.Client | None = None
        self._waiting: dict[str, TraceRecord] = {}

    def add(self, records: Iterable[TraceRecord], report: Report) -> None:
        self._waiting.update((record.trace_id, record) for record in records)
        if len(self._waiting) >= _BATCH:
            self._flush(report)

    def close(self, report: Report) -> None:
        self._flush(report)
        if self._http is not None:
            self._http.close()

    def _flush(self, report: Report) -> None:
        annotations = [annotation(record, report) for record in self._waiting.values()]
        self._waiting.clear()
        for start in range(0, len(annotations), _BATCH):
            batch = annotations[start : start + _BATCH]
            try:
                done = self._write(batch)
            except Exception as error:  # noqa: BLE001 - whatever goes wrong, the sync itself is done
                _log.warning("%d traces were not annotated in Phoenix: %s", len(batch), error)
                done = 0
            report.annotated += done
            report.not_annotated += len(batch) - done

    def _write(self, batch: Sequence[Any]) -> int:
        """Write annotations, and return how many; none is written of a trace that Phoenix has deleted."""
        import httpx

        client = self._connected()
        try:
            client.traces.log_trace_annotations(trace_annotations=batch, sync=True)
        except httpx.HTTPStatusError as error:
            # One that is gone makes Phoenix refuse them all.
            if error.response.status_code != _NOT_FOUND:
                raise
            half = len(batch) // 2
            return self._write(batch[:half]) + self._write(batch[half:]) if half else 0
        return len(batch)

    def _connected(self) -> Client:
        """Phoenix's client on a connection like ours: its keys, its certificates, its time limits."""
        from phoenix.client import Client

        if self._client is None:
            self._http = connected(self._settings)
            self._client = Client(http_client=self._http)
        return self._client


def require_client() -> None:
    """Raise `SettingsError` where Phoenix's client is not installed."""
    try:
        import phoenix.client  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            f"--annotate needs Phoenix's client ({error}); run: pip install arize-phoenix-client"
        ) from error


def annotation(record: TraceRecord, report: Report) -> dict[str, Any]:
    """The annotation that says how a trace ended: one for each namespace, however often it is written."""
    tips = f"tips {', '.join(record.tip_ids)}" if record.tip_ids else ""
    return {
        "name": OWN_NAME,
        "annotator_kind": "CODE",
        "trace_id": record.trace_id,
        "identifier": f"{OWN_NAME}:{report.namespace_id}",
        "result": {
            "label": record.state,
            "explanation": "; ".join(filter(None, [record.reason, tips])) or record.state,
        },
        "metadata": {"namespace": report.namespace_id, "run_id": report.run_id},
    }
