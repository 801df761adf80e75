"""Annotations in Phoenix that say what became of each trace, so that people see it where they look."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kaizen.sync.model import OWN_NAME
from kaizen.sync.sources.http import connected
from kaizen.sync.sources.phoenix.client import server_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import httpx
    from phoenix.client import Client

    from kaizen.sync.settings import PhoenixSettings
    from kaizen.sync.sources.base import AnnotatedRun, ProcessedTrace

_log = logging.getLogger(__name__)

_BATCH = 100
_NOT_FOUND = 404


class PhoenixAnnotator:
    """Annotates traces through Phoenix's own client; a later run of the same namespace writes over it."""

    def __init__(self, settings: PhoenixSettings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._http: httpx.Client | None = None
        self._waiting: dict[str, ProcessedTrace] = {}

    def add(self, traces: Iterable[ProcessedTrace], run: AnnotatedRun) -> None:
        """Annotate traces once there are a hundred of them; never raises."""
        self._waiting.update((trace.trace_id, trace) for trace in traces)
        if len(self._waiting) >= _BATCH:
            self._flush(run)

    def close(self, run: AnnotatedRun) -> None:
        """Annotate the traces that are left, and disconnect."""
        self._flush(run)
        if self._http is not None:
            self._http.close()

    def _flush(self, run: AnnotatedRun) -> None:
        annotations = [annotation(trace, run) for trace in self._waiting.values()]
        self._waiting.clear()
        for start in range(0, len(annotations), _BATCH):
            batch = annotations[start : start + _BATCH]
            try:
                written = self._write(batch)
            except Exception as error:  # noqa: BLE001 - whatever goes wrong, the sync itself is done
                _log.warning("%d traces were not annotated in Phoenix: %s", len(batch), error)
                written = 0
            run.annotated += written
            run.not_annotated += len(batch) - written

    def _write(self, batch: Sequence[Any]) -> int:
        """Write annotations and return how many; those of traces that Phoenix has deleted are left out."""
        client = self._connected()
        import httpx

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
        """Return Phoenix's client on a connection like ours: its keys, its certificates, its time limits."""
        if self._client is None:
            self._http = connected(server_of(self._settings))
            # Here and nowhere else: the import takes longer than a sync that finds nothing new.
            from phoenix.client import Client

            self._client = Client(http_client=self._http)
        return self._client


def annotation(trace: ProcessedTrace, run: AnnotatedRun) -> dict[str, Any]:
    """Return the annotation that says how a trace ended: one for each namespace, however often written."""
    tips = f"tips {', '.join(trace.tip_ids)}" if trace.tip_ids else ""
    return {
        "name": OWN_NAME,
        "annotator_kind": "CODE",
        "trace_id": trace.trace_id,
        "identifier": f"{OWN_NAME}:{run.namespace_id}",
        "result": {
            "label": trace.state,
            "explanation": "; ".join(filter(None, [trace.reason, tips])) or trace.state,
        },
        "metadata": {"namespace": run.namespace_id, "run_id": run.run_id},
    }
