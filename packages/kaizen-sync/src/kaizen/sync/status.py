"""How far syncs have come, and whether what they need answers, as plain values."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from kaizen.store import NotFoundError
from kaizen.sync.model import utc_now
from kaizen.sync.state.ledger import Ledger
from kaizen.sync.state.records import CHECKPOINT, CLAIM, RUN, TRAJECTORY, Claim, TraceRecord, put_again
from kaizen.tips.reading import read_evidence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kaizen.store import Entity, Store
    from kaizen.sync.knowledge.claim_tests import SignatureHistory
    from kaizen.sync.knowledge.staleness import Staleness
    from kaizen.sync.model import Clock
    from kaizen.sync.settings import ModelSettings, PhoenixSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectStatus:
    """How far syncs have read one project: its traces by state, and how many of them wait for a later sync.

    `updated_at` is in ISO 8601.
    """

    source: str
    project: str
    states: Mapping[str, int]
    deferred: int
    server_version: str
    updated_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTrace:
    """A trace that failed: why, and how often in a row by now."""

    project: str
    trace_id: str
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncStatus:
    """The projects, the last runs (oldest first) and the failed traces of one namespace.

    Each run is what its report's `to_json` gave, and `state`: `running`, `ended` or `broke off`.
    """

    namespace_id: str
    projects: Sequence[ProjectStatus]
    runs: Sequence[Mapping[str, Any]]
    failed: Sequence[FailedTrace]

    def to_json(self) -> dict[str, Any]:
        """Return the status for programs; its keys are documented in docs/reference/cli.md."""
        return {
            "namespace": self.namespace_id,
            "checkpoints": [asdict(project) for project in self.projects],
            "runs": list(self.runs),
            "failed": [asdict(trace) for trace in self.failed],
        }


def sync_status(store: Store, namespace_id: str, *, max_runs: int = 10, clock: Clock = utc_now) -> SyncStatus:
    """Return how far the syncs into a namespace have come; raises `NotFoundError` if there is none."""
    return SyncStatus(
        namespace_id=namespace_id,
        projects=[_project_status(store, entity) for entity in store.iterate(namespace_id, type=CHECKPOINT)],
        # Runs are listed by id, and their ids sort by time.
        runs=list(deque(_runs(store, namespace_id, clock), maxlen=max_runs)),
        failed=[_failed_trace(entity) for entity in _failed(store, namespace_id)],
    )


def retry_failed(
    store: Store, namespace_id: str, trace_ids: Sequence[str] = (), *, actor: str = "kaizen sync retry"
) -> list[str]:
    """Let the next sync try failed traces again, all or those named; return their ids.

    Raises `NotFoundError` if a named trace has not failed.
    """
    failed = {str(entity.metadata["trace_id"]): entity for entity in _failed(store, namespace_id)}
    if missing := set(trace_ids) - set(failed):
        raise NotFoundError(
            f"no failed trace {', '.join(sorted(missing))} in namespace '{namespace_id}'; "
            "`kaizen sync status` lists those there are",
            namespace_id=namespace_id,
            entity_id=min(missing),
        )
    retried = [trace_id for trace_id in failed if trace_id in trace_ids or not trace_ids]
    for trace_id in retried:
        entity = failed[trace_id]
        store.commit(
            namespace_id,
            [put_again(entity, {**entity.metadata, "attempts": 0})],
            expected={entity.id: entity.revision},
            actor=actor,
            reason=f"trace {trace_id} is tried again",
        )
    return retried


def stored_projects(store: Store, namespace_id: str) -> list[tuple[str, str]]:
    """Return source and project of all traces that the namespace keeps, in order."""
    found = (entity.metadata for entity in store.iterate(namespace_id, type=TRAJECTORY))
    return sorted({(str(metadata["source"]), str(metadata["project"])) for metadata in found})


def read_staleness(store: Store, namespace_id: str) -> Staleness:
    """Return what says whether tips of the namespace are older than their tools."""
    from kaizen.sync.knowledge.staleness import Staleness

    return Staleness(
        lambda source, project: Ledger(store, namespace_id, source, project).tools,
        partial(read_evidence, store, namespace_id),
    )


def read_signature_history(store: Store, tip: Entity) -> SignatureHistory | None:
    """Return how often the failed call that a tip prevents was seen; None if it names none."""
    from kaizen.sync.knowledge.claim_tests import read_history

    signature: Any = tip.metadata.get("signature")
    if not signature:
        return None
    ledger = Ledger(store, tip.namespace_id, "", "")
    return read_history(signature, ledger.stories_that_called(signature["tool"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoenixStatus:
    """What a Phoenix server offers. `version` is empty if it does not say.

    `reading` is how traces are found: by the `index`, by reading all `spans`, or `nothing` of it can be read.
    """

    version: str
    reading: Literal["index", "spans", "nothing"]
    projects: Sequence[str]


def phoenix_status(settings: PhoenixSettings) -> PhoenixStatus:
    """Ask a Phoenix server what it offers; raises `SourceError` if it does not answer."""
    from kaizen.sync.sources.phoenix.source import PhoenixSource, reading_by

    with PhoenixSource(settings) as source:
        version = source.ping()
        return PhoenixStatus(version=version, reading=reading_by(version), projects=sorted(source.projects()))


def ping_model(name: str, settings: ModelSettings) -> None:
    """Make one small call to a model; raises `ModelError` if it gives no answer."""
    from kaizen.sync.llm.client import Model

    Model(name, settings).ping()


def _project_status(store: Store, entity: Entity) -> ProjectStatus:
    source, project = str(entity.metadata["source"]), str(entity.metadata["project"])
    ledger = Ledger(store, entity.namespace_id, source, project)
    states: Counter[str] = Counter()
    for counted, traces in ledger.state_counts.items():
        states[counted.state] += traces
    return ProjectStatus(
        source=source,
        project=project,
        states={state: traces for state, traces in states.items() if traces},
        deferred=ledger.checkpoint.deferred,
        server_version=ledger.checkpoint.server_version,
        updated_at=entity.updated_at.isoformat(),
    )


def _runs(store: Store, namespace_id: str, clock: Clock) -> Iterator[dict[str, Any]]:
    now = clock()
    claims = map(Claim.of, store.iterate(namespace_id, type=CLAIM))
    at_work = {claim.run_id for claim in claims if claim.is_alive(now)}
    for entity in store.iterate(namespace_id, type=RUN):
        run = dict(entity.metadata)
        # Older records say nothing; those runs were recorded when they ended.
        has_ended = run.pop("ended", True)
        run["state"] = "ended" if has_ended else "running" if run["run_id"] in at_work else "broke off"
        yield run


def _failed(store: Store, namespace_id: str) -> Iterator[Entity]:
    return store.iterate(namespace_id, type=TRAJECTORY, where={"state": "failed"})


def _failed_trace(entity: Entity) -> FailedTrace:
    record = TraceRecord.of(entity)
    return FailedTrace(
        project=record.project, trace_id=record.trace_id, attempts=record.attempts, reason=record.reason
    )
