"""Syncs with what they did and cost, and agents' runs with what was said in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kaizen.serve.context import context_of
from kaizen.serve.pages.conversation import MESSAGES_A_PAGE, MessageView, message_views
from kaizen.serve.pages.rendering import form_of, links_of, namespace_of, redirect, render
from kaizen.serve.pages.text import summary
from kaizen.serve.security import require
from kaizen.store import NotFoundError
from kaizen.sync import find_runs, get_run, latest_runs, retry_failed, sync_status
from kaizen.tips import read_tip

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from kaizen.store import Store
    from kaizen.sync import RunPage, StoredRun, SyncStatus

_SYNCS = 20
_FAILED_SHOWN = 50
STATES = ("learned", "no_lesson", "deferred", "skipped", "failed")
OUTCOMES = ("success", "failure", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsView:
    """The syncs, newest first, and a page of agents' runs; `failed_total` counts failed traces."""

    status: SyncStatus | None
    syncs: Sequence[Mapping[str, Any]]
    found: RunPage | None
    failed_total: int = 0


async def runs(request: Request) -> Response:
    context, params = context_of(request), request.query_params
    state = params.get("state", "") if params.get("state", "") in STATES else ""
    outcome = params.get("outcome", "") if params.get("outcome", "") in OUTCOMES else ""
    view = await context.read(
        read_runs,
        context.store,
        namespace_of(request),
        state=state,
        outcome=outcome,
        cursor=params.get("cursor") or None,
    )
    return await render(
        request,
        "runs.html",
        view=view,
        state=state,
        outcome=outcome,
        states=STATES,
        outcomes=OUTCOMES,
        failed_shown=_FAILED_SHOWN,
        page="runs",
    )


def read_runs(
    store: Store, namespace_id: str, *, state: str = "", outcome: str = "", cursor: str | None = None
) -> RunsView:
    try:
        status = sync_status(store, namespace_id, max_runs=_SYNCS)
    except NotFoundError:
        return RunsView(status=None, syncs=(), found=None)
    if state or outcome:
        found = find_runs(store, namespace_id, state=state, outcome=outcome, after=cursor)
    else:
        found = latest_runs(store, namespace_id, before=cursor)
    return RunsView(
        status=status, syncs=list(reversed(status.runs)), found=found, failed_total=len(status.failed)
    )


@require("review")
async def retry(request: Request) -> Response:
    """Let the next sync try failed traces again: the one named, or all."""
    context = context_of(request)
    traces = [trace for trace in form_of(request).get("trace", []) if trace]
    await context.write(retry_failed, context.store, namespace_of(request), traces)
    return redirect(links_of(request).to("runs", retried="yes"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TipName:
    """A tip by the beginning of its words; empty if it is gone."""

    id: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """A run of an agent; `total` counts its messages, of which one page is shown."""

    run: StoredRun
    messages: Sequence[MessageView]
    total: int
    first: int
    errors: Sequence[str]
    side_names: Sequence[str]
    learned: Sequence[TipName]
    shown: Sequence[TipName]
    held_out: Sequence[TipName]
    is_control: bool


async def run(request: Request) -> Response:
    context, params = context_of(request), request.query_params
    number = params.get("from", "1")
    first = int(number) if number.isascii() and number.isdecimal() and len(number) < 9 else 1
    view = await context.read(
        read_run,
        context.store,
        namespace_of(request),
        request.path_params["run_id"],
        first=max(0, first - 1),
        quote=params.get("quote", "")[:2_000],
    )
    return await render(request, "run.html", view=view, run=view.run, a_page=MESSAGES_A_PAGE, page="runs")


def read_run(store: Store, namespace_id: str, run_id: str, *, first: int = 0, quote: str = "") -> RunView:
    found, trajectory = get_run(store, namespace_id, run_id)
    messages = trajectory.all_messages() if trajectory else ()
    sides = trajectory.side_conversations if trajectory else ()
    return RunView(
        run=found,
        messages=message_views(messages, quote=quote, first=first, most=MESSAGES_A_PAGE),
        total=len(messages),
        first=first,
        errors=trajectory.errors if trajectory else (),
        side_names=[side.name or "without a name" for side in sides],
        learned=_names(store, namespace_id, found.tip_ids),
        shown=_names(store, namespace_id, found.shown),
        held_out=_names(store, namespace_id, found.held_out),
        is_control=any(exposure.is_control for exposure in found.exposures),
    )


def _names(store: Store, namespace_id: str, tip_ids: Sequence[str]) -> list[TipName]:
    entities = store.get_many(namespace_id, list(tip_ids))
    tips = {tip_id: read_tip(entity) for tip_id, entity in entities.items()}
    return [
        TipName(id=tip_id, content=summary(tip.content) if (tip := tips.get(tip_id)) else "")
        for tip_id in tip_ids
    ]
