"""What can be changed: all that the command can do with tips, as the caller; and what agents may add."""

from __future__ import annotations

import os
from typing import Any, Literal

from pydantic import ConfigDict, Field

from kaizen.serve import changing
from kaizen.serve.api import shapes
from kaizen.serve.api.operations import Asked, Id, InNamespace, Nothing, Operation, Taken
from kaizen.serve.api.reading import OneTip
from kaizen.sync import Redaction, report_outcome, retry_failed, suggest_tip, undo_run
from kaizen.tips import Category

_Ids = Field(min_length=1, max_length=1000, description="Ids of the tips.")
_Reason = Field(default="", max_length=1000, description="Why; kept in the history.")


def _left_out(**bounds: Any) -> Any:
    """Return a field that may be left out, and that is never null."""
    return Field(default=None, json_schema_extra=_without_default, **{"max_length": 10_000, **bounds})


def _without_default(schema: dict[str, Any]) -> None:
    del schema["default"]


class Decision(Taken):
    tip_id: Id
    decision: Literal["approved", "rejected"]
    revision: int | None = Field(
        default=None, description="The revision that was looked at; if it is another now, nothing is decided."
    )


class Decide(Taken):
    decisions: list[Decision] = Field(min_length=1, max_length=1000)
    reason: str = _Reason


class Named(Taken):
    tip_ids: list[Id] = _Ids
    reason: str = _Reason


class Words(Taken):
    """What a tip says. A field that is left out stays as it is."""

    content: str = _left_out(min_length=1)
    category: Category = _left_out()
    trigger: str = _left_out()
    implementation_steps: list[str] = _left_out(max_length=100)
    rationale: str = _left_out()
    task_description: str = _left_out()
    reason: str = _Reason

    @property
    def fields(self) -> dict[str, Any]:
        """Return the fields of the tip's metadata that are named."""
        return self.model_dump(exclude_unset=True, exclude={"content", "reason", "revision"})


class Edit(Words):
    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": [n]} for n in Words.model_fields if n != "reason"]}
    )

    revision: int | None = Field(default=None, ge=1, description="The revision that was looked at.")


class Add(Words):
    content: str = Field(min_length=1, max_length=10_000)


class Undo(Taken):
    commit_ids: list[Id] = Field(min_length=1, max_length=100)
    force: bool = Field(default=False, description="Also give up what others did to the same tips since.")
    reason: str = _Reason


class OneRun(InNamespace):
    run_id: Id = Field(description="Id of the run of a sync.")


class Retry(Taken):
    trace_ids: list[Id] = Field(default=[], max_length=1000, description="Only these; by default all.")


class Suggest(Taken):
    content: str = Field(min_length=1, max_length=2000)
    category: Category = "strategy"
    trigger: str = Field(default="", max_length=2000, description="When it applies.")
    steps: list[str] = Field(default=[], max_length=10)
    rationale: str = Field(default="", max_length=2000, description="Why it helps.")
    task: str = Field(default="", max_length=2000, description="The kind of task that it is for.")


class Report(Taken):
    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["unit"]}, {"required": ["trace_id"]}]}
    )

    unit: Id = Field(default="", max_length=200, description="The session or run; or else give a trace.")
    trace_id: Id = Field(default="", max_length=200)
    success: bool
    note: str = Field(default="", max_length=2000)


def _decide(asked: Asked) -> shapes.CommitShape:
    given: Decide = asked.body
    commit = changing.review_tips(
        asked.context.store,
        asked.namespace_id,
        {one.tip_id: one.decision for one in given.decisions},
        revisions={one.tip_id: one.revision for one in given.decisions if one.revision is not None},
        reason=given.reason,
        actor=asked.actor,
    )
    return shapes.CommitShape.of(commit)


def _retire(asked: Asked) -> shapes.CommitShape:
    given: Named = asked.body
    return shapes.CommitShape.of(
        changing.retire(
            asked.context.store, asked.namespace_id, given.tip_ids, reason=given.reason, actor=asked.actor
        )
    )


def _pin(asked: Asked) -> shapes.CommitShape:
    return _pinned(asked, pinned=True)


def _unpin(asked: Asked) -> shapes.CommitShape:
    return _pinned(asked, pinned=False)


def _pinned(asked: Asked, *, pinned: bool) -> shapes.CommitShape:
    given: Named = asked.body
    commit = changing.pin(
        asked.context.store,
        asked.namespace_id,
        given.tip_ids,
        pinned=pinned,
        reason=given.reason,
        actor=asked.actor,
    )
    return shapes.CommitShape.of(commit)


def _add(asked: Asked) -> shapes.Tip:
    given: Add = asked.body
    store, fields = asked.context.store, given.fields
    entity = changing.add(
        store, asked.namespace_id, given.content, fields, actor=asked.actor, reason=given.reason
    )
    return shapes.Tip.of(entity)


def _edit(asked: Asked) -> shapes.CommitShape:
    given: Edit = asked.body
    wanted: OneTip = asked.parameters
    commit = changing.edit(
        asked.context.store,
        asked.namespace_id,
        wanted.tip_id,
        content=given.content,
        fields=given.fields,
        revision=given.revision,
        reason=given.reason,
        actor=asked.actor,
    )
    return shapes.CommitShape.of(commit)


def _undo(asked: Asked) -> shapes.CommitShape:
    given: Undo = asked.body
    commit = changing.undo(
        asked.context.store,
        asked.namespace_id,
        given.commit_ids,
        force=given.force,
        reason=given.reason,
        actor=asked.actor,
    )
    return shapes.CommitShape.of(commit)


def _undo_run(asked: Asked) -> shapes.Undone:
    wanted: OneRun = asked.parameters
    undone = undo_run(asked.context.store, asked.namespace_id, wanted.run_id, actor=asked.actor)
    commit = shapes.CommitShape.of(undone.commit) if undone.commit else None
    return shapes.Undone(commit=commit, trace_ids=list(undone.trace_ids), kept=list(undone.kept))


def _retry(asked: Asked) -> shapes.Retried:
    given: Retry = asked.body
    retried = retry_failed(asked.context.store, asked.namespace_id, given.trace_ids, actor=asked.actor)
    return shapes.Retried(trace_ids=retried)


def _suggest(asked: Asked) -> shapes.Tip:
    given: Suggest = asked.body
    redaction = Redaction.from_environ(os.environ)
    words = given.model_dump()
    return shapes.Tip.of(
        suggest_tip(asked.context.store, asked.namespace_id, **words, actor=asked.actor, redaction=redaction)
    )


def _report(asked: Asked) -> shapes.CommitShape:
    given: Report = asked.body
    redaction = Redaction.from_environ(os.environ)
    said = given.model_dump()
    commit = report_outcome(
        asked.context.store, asked.namespace_id, **said, actor=asked.actor, redaction=redaction
    )
    return shapes.CommitShape.of(commit)


def _change(
    path: str,
    name: str,
    summary: str,
    function: Any,
    body: Any,
    *,
    gives: Any = shapes.CommitShape,
    scope: str = "review",
    method: str = "POST",
    parameters: Any = InNamespace,
    status: int = 200,
) -> Operation:
    return Operation(
        method=method,
        path=path,
        name=name,
        summary=summary,
        scope=scope,
        function=function,
        gives=gives,
        body=body,
        parameters=parameters,
        status=status,
    )


OPERATIONS = (
    _change("/v1/tips", "add_tip", "Add a tip by hand.", _add, Add, gives=shapes.Tip, status=201),
    _change("/v1/tips/review", "review_tips", "Approve and reject tips that wait.", _decide, Decide),
    _change("/v1/tips/retire", "retire_tips", "Take tips out of use.", _retire, Named),
    _change("/v1/tips/pin", "pin_tips", "Pin tips: each run that they fit is shown them.", _pin, Named),
    _change("/v1/tips/unpin", "unpin_tips", "Pin tips no more.", _unpin, Named),
    _change("/v1/commits/revert", "revert_commits", "Undo commits, by one more.", _undo, Undo),
    _change(
        "/v1/runs/retry",
        "retry_traces",
        "Let the next sync try failed traces again.",
        _retry,
        Retry,
        gives=shapes.Retried,
    ),
    _change(
        "/v1/runs/{run_id}/undo",
        "undo_run",
        "Take out what a run of a sync contributed.",
        _undo_run,
        Nothing,
        gives=shapes.Undone,
        parameters=OneRun,
    ),
    _change(
        "/v1/suggestions",
        "suggest_tip",
        "Suggest a tip: it waits for a person.",
        _suggest,
        Suggest,
        gives=shapes.Tip,
        scope="write",
        status=201,
    ),
    _change(
        "/v1/outcomes",
        "report_outcome",
        "Report whether a run succeeded.",
        _report,
        Report,
        scope="write",
        status=201,
    ),
    # Last, since an id may hold slashes.
    _change(
        "/v1/tips/{tip_id:path}",
        "edit_tip",
        "Change what a tip says.",
        _edit,
        Edit,
        method="PATCH",
        parameters=OneTip,
    ),
)
