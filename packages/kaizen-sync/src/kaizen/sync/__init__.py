"""Traces in, tips out: read agent traces back and turn them into lessons with evidence.

Public is what `kaizen.sync`, `kaizen.sync.sources` and `kaizen.sync.testing` export; every other module is
private and may change in any release. Names are imported when they are used, so that `import kaizen.sync`
loads nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kaizen.sync.__about__ import __version__

if TYPE_CHECKING:
    from kaizen.sync.checkup import Check, check_proof, check_syncs, problems_of
    from kaizen.sync.durations import parse_duration
    from kaizen.sync.errors import (
        ModelAccessError,
        ModelError,
        ModelRefusalError,
        ModelUnavailableError,
        ProjectNotFoundError,
        PromptTooLongError,
        RedactionError,
        SettingsError,
        SourceError,
        SyncError,
        UnknownShapeError,
        UnusableAnswerError,
    )
    from kaizen.sync.knowledge.claim_tests import SignatureHistory
    from kaizen.sync.knowledge.consolidate import Consolidated, Consolidation
    from kaizen.sync.knowledge.effects import (
        MeasuredTip,
        Proof,
        describe_verdict,
        make_verdicts,
        read_curve,
        read_growth,
        read_proof,
        read_units,
    )
    from kaizen.sync.knowledge.similarity import load_embedder
    from kaizen.sync.knowledge.staleness import Staleness
    from kaizen.sync.model import Message, OutcomeRules, utc_now
    from kaizen.sync.proof.values import Estimate
    from kaizen.sync.proof.verdicts import MIN_UNITS_A_SIDE
    from kaizen.sync.redact import Redaction
    from kaizen.sync.run.budget import check_price
    from kaizen.sync.run.pipeline import Sync
    from kaizen.sync.run.preview import Preview
    from kaizen.sync.run.watch import check_watch, watch
    from kaizen.sync.runs import RunPage, StoredRun, find_runs, get_run, latest_runs, run_id_of
    from kaizen.sync.settings import (
        DEFAULT_MODEL,
        OFFLINE,
        ModelSettings,
        OutcomeSettings,
        PhoenixSettings,
        SyncSettings,
    )
    from kaizen.sync.sources.base import Annotator
    from kaizen.sync.sources.phoenix.annotate import PhoenixAnnotator
    from kaizen.sync.sources.phoenix.source import PhoenixSource
    from kaizen.sync.sources.stored import StoredProject
    from kaizen.sync.state.report import Report
    from kaizen.sync.state.reported import report_outcome
    from kaizen.sync.status import (
        FailedTrace,
        PhoenixStatus,
        ProjectStatus,
        SyncStatus,
        phoenix_status,
        ping_model,
        read_signature_history,
        read_staleness,
        retry_failed,
        stored_projects,
        sync_status,
    )
    from kaizen.sync.stopping import StopFlag
    from kaizen.sync.suggestions import suggest_tip
    from kaizen.sync.trajectory.tool_definitions import ChangedTool
    from kaizen.sync.undo import UndoneRun, undo_run

__all__ = [
    "DEFAULT_MODEL",
    "MIN_UNITS_A_SIDE",
    "OFFLINE",
    "Annotator",
    "ChangedTool",
    "Check",
    "Consolidated",
    "Consolidation",
    "Estimate",
    "FailedTrace",
    "MeasuredTip",
    "Message",
    "ModelAccessError",
    "ModelError",
    "ModelRefusalError",
    "ModelSettings",
    "ModelUnavailableError",
    "OutcomeRules",
    "OutcomeSettings",
    "PhoenixAnnotator",
    "PhoenixSettings",
    "PhoenixSource",
    "PhoenixStatus",
    "Preview",
    "ProjectNotFoundError",
    "ProjectStatus",
    "PromptTooLongError",
    "Proof",
    "Redaction",
    "RedactionError",
    "Report",
    "RunPage",
    "SettingsError",
    "SignatureHistory",
    "SourceError",
    "Staleness",
    "StopFlag",
    "StoredProject",
    "StoredRun",
    "Sync",
    "SyncError",
    "SyncSettings",
    "SyncStatus",
    "UndoneRun",
    "UnknownShapeError",
    "UnusableAnswerError",
    "__version__",
    "check_price",
    "check_proof",
    "check_syncs",
    "check_watch",
    "describe_verdict",
    "find_runs",
    "get_run",
    "latest_runs",
    "load_embedder",
    "make_verdicts",
    "parse_duration",
    "phoenix_status",
    "ping_model",
    "problems_of",
    "read_curve",
    "read_growth",
    "read_proof",
    "read_signature_history",
    "read_staleness",
    "read_units",
    "report_outcome",
    "retry_failed",
    "run_id_of",
    "stored_projects",
    "suggest_tip",
    "sync_status",
    "undo_run",
    "utc_now",
    "watch",
]

_NAMES = {
    "checkup": "Check check_proof check_syncs problems_of",
    "durations": "parse_duration",
    "knowledge.consolidate": "Consolidated Consolidation",
    "knowledge.effects": "MeasuredTip Proof describe_verdict make_verdicts "
    "read_curve read_growth read_proof read_units",
    "knowledge.similarity": "load_embedder",
    "knowledge.claim_tests": "SignatureHistory",
    "knowledge.staleness": "Staleness",
    "model": "Message OutcomeRules utc_now",
    "proof.values": "Estimate",
    "proof.verdicts": "MIN_UNITS_A_SIDE",
    "redact": "Redaction",
    "run.budget": "check_price",
    "run.pipeline": "Sync",
    "run.preview": "Preview",
    "run.watch": "check_watch watch",
    "runs": "RunPage StoredRun find_runs get_run latest_runs run_id_of",
    "settings": "DEFAULT_MODEL OFFLINE ModelSettings OutcomeSettings PhoenixSettings SyncSettings",
    "sources.base": "Annotator",
    "sources.phoenix.annotate": "PhoenixAnnotator",
    "sources.phoenix.source": "PhoenixSource",
    "sources.stored": "StoredProject",
    "state.report": "Report",
    "state.reported": "report_outcome",
    "stopping": "StopFlag",
    "suggestions": "suggest_tip",
    "status": (
        "FailedTrace PhoenixStatus ProjectStatus SyncStatus phoenix_status ping_model "
        "read_signature_history read_staleness "
        "retry_failed stored_projects sync_status"
    ),
    "trajectory.tool_definitions": "ChangedTool",
    "undo": "UndoneRun undo_run",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"kaizen.sync.{_MODULES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
