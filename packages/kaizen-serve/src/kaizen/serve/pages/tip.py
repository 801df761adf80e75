"""One tip whole: its words, why it exists, what it does, what became of it; editing and undoing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kaizen.recall import block, note, read_served_tip
from kaizen.serve import changing
from kaizen.serve.context import context_of
from kaizen.serve.pages.conversation import Excerpt, read_excerpt
from kaizen.serve.pages.effects import (
    Effect,
    EffectRow,
    draw_curve,
    effect_of,
    effect_rows,
    measured_tip,
)
from kaizen.serve.pages.history import Revision, read_history
from kaizen.serve.pages.kept import kept_of
from kaizen.serve.pages.rendering import form_of, links_of, namespace_of, redirect, render
from kaizen.serve.security import caller_of, require
from kaizen.store import ConflictError, InvalidInputError, NotFoundError
from kaizen.sync import read_curve, read_signature_history, read_staleness, run_id_of
from kaizen.tips import (
    CATEGORIES,
    EVIDENCE,
    GUIDELINE,
    StoredSource,
    StoredTip,
    newest_evidence,
    read_tip,
    served_tip,
)

if TYPE_CHECKING:
    from markupsafe import Markup
    from starlette.requests import Request
    from starlette.responses import Response

    from kaizen.serve.pages.kept import Kept
    from kaizen.store import Commit, Entity, Store
    from kaizen.sync import ChangedTool, SignatureHistory

_EVIDENCE = 5
_COUNTEREXAMPLES = 5
_MOST_ID = 512
_MOST_EVIDENCE = 50
_MOST_CHARS = 20_000
_TEXT_FIELDS = ("trigger", "rationale", "task_description", "category")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A piece of evidence; the `excerpt` of its conversation is read for the first one only."""

    stored: StoredSource
    url: str
    run_id: str
    excerpt: Excerpt | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TipView:
    """All that the page of a tip shows at once."""

    tip: StoredTip
    entity: Entity
    evidence: Sequence[Evidence]
    evidence_count: int
    counterexamples: Sequence[tuple[str, str]]
    changed_tools: Sequence[ChangedTool]
    failures: SignatureHistory | None
    history: Sequence[Revision]
    preview: Preview


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The text that an agent is given; `tool` is the one whose description it goes into, if there is one."""

    text: str
    tool: str
    problem: str = ""


async def tip(request: Request) -> Response:
    context = context_of(request)
    most = _MOST_EVIDENCE if request.query_params.get("evidence") == "all" else _EVIDENCE
    view = await context.read(
        read_tip_view,
        context.store,
        namespace_of(request),
        request.path_params["tip_id"],
        phoenix_url=context.settings.phoenix_url,
        most=most,
    )
    measured = await context.read(is_measured, kept_of(request), namespace_of(request), view.tip.id)
    return await render(
        request, "tip.html", view=view, tip=view.tip, is_measured=measured, page="tips", most=most
    )


def is_measured(kept: Kept, namespace_id: str, tip_id: str) -> bool:
    """Return whether there may be something to show of its effect; that is read after the page is shown."""
    catalogue = kept.catalogue(namespace_id)
    insights = kept.insights(namespace_id, catalogue) if catalogue else None
    return insights is None or measured_tip(insights.proof, tip_id) is not None


def read_tip_view(
    store: Store, namespace_id: str, tip_id: str, *, phoenix_url: str = "", most: int = _EVIDENCE
) -> TipView:
    entity, found = _read(store, namespace_id, tip_id)
    evidence = newest_evidence(store, namespace_id, found)
    kept = _kept(store, namespace_id, map(_run_id, evidence[:most]))
    return TipView(
        tip=found,
        entity=entity,
        evidence=[
            Evidence(
                stored=stored,
                url=span_url(stored, phoenix_url),
                run_id=kept.get(_run_id(stored), ""),
                excerpt=read_excerpt(store, namespace_id, stored.source) if number == 0 else None,
            )
            for number, stored in enumerate(evidence[:most])
        ],
        evidence_count=len(evidence),
        counterexamples=_counterexamples(store, namespace_id, found, evidence),
        changed_tools=read_staleness(store, namespace_id).changed(entity),
        failures=read_signature_history(store, entity),
        history=read_history(store, namespace_id, tip_id),
        preview=preview_of(found),
    )


def _read(store: Store, namespace_id: str, tip_id: str) -> tuple[Entity, StoredTip]:
    entity = store.get(namespace_id, tip_id)
    found = read_tip(entity) if entity.type == GUIDELINE else None
    if found is None:
        raise NotFoundError(
            f"{tip_id} is not a tip that can be read", namespace_id=namespace_id, entity_id=tip_id
        )
    return entity, found


def _run_id(stored: StoredSource) -> str:
    source = stored.source
    return run_id_of(source.source, source.project, source.trace_id)


def _counterexamples(
    store: Store, namespace_id: str, found: StoredTip, evidence: Sequence[StoredSource]
) -> list[tuple[str, str]]:
    """Return some traces that broke the claim of the tip, each with the id of its run if that is kept.

    A tip does not say which project they are of: it is one of those that its evidence is of.
    """
    places = {(stored.source.source, stored.source.project) for stored in evidence}
    traces = found.counterexamples[:_COUNTEREXAMPLES]
    ids = {run_id_of(*place, trace): trace for trace in traces for place in places}
    kept = {ids[run_id]: run_id for run_id in _kept(store, namespace_id, ids)}
    return [(trace, kept.get(trace, "")) for trace in traces]


def _kept(store: Store, namespace_id: str, run_ids: Iterable[str]) -> dict[str, str]:
    """Return those of the runs that the store keeps; ids that no entity can have are left out."""
    possible = [run_id for run_id in run_ids if len(run_id) <= _MOST_ID and run_id.isprintable()]
    return {run_id: run_id for run_id in store.get_many(namespace_id, possible)}


def span_url(stored: StoredSource, phoenix_url: str) -> str:
    """Return the address of the span: at the Phoenix that is configured, else as it was stored."""
    source = stored.source
    if phoenix_url and source.source == "phoenix" and source.span_id:
        return f"{phoenix_url.rstrip('/')}/redirects/spans/{source.span_id}"
    return source.url


async def evidence(request: Request) -> Response:
    """Show the conversation of one piece of evidence."""
    context = context_of(request)
    excerpt = await context.read(
        read_evidence_excerpt, context.store, namespace_of(request), request.path_params["evidence_id"]
    )
    return await render(request, "excerpt.html", excerpt=excerpt, page="tips")


def read_evidence_excerpt(store: Store, namespace_id: str, evidence_id: str) -> Excerpt:
    entity = store.get(namespace_id, evidence_id)
    if entity.type != EVIDENCE:
        raise NotFoundError(f"{evidence_id} is no evidence", namespace_id=namespace_id, entity_id=evidence_id)
    return read_excerpt(store, namespace_id, StoredSource.of(entity).source)


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectView:
    """What was measured of a tip; `effect` is None where no run was to be shown it as it is worded now."""

    is_ready: bool
    effect: Effect | None = None
    rows: Sequence[EffectRow] = ()
    plot: Markup | str = ""


async def effect(request: Request) -> Response:
    """Show the measured effect; reads all runs, so that the page asks for it after it is shown."""
    context = context_of(request)
    view = await context.read(
        read_effect, context.store, kept_of(request), namespace_of(request), request.path_params["tip_id"]
    )
    return await render(request, "effect.html", view=view, page="tips", tip_id=request.path_params["tip_id"])


def read_effect(store: Store, kept: Kept, namespace_id: str, tip_id: str) -> EffectView:
    catalogue = kept.catalogue(namespace_id)
    insights = kept.insights(namespace_id, catalogue) if catalogue else None
    if insights is None:
        return EffectView(is_ready=False)
    measured = measured_tip(insights.proof, tip_id)
    if measured is None:
        return EffectView(is_ready=True)
    return EffectView(
        is_ready=True,
        effect=effect_of(measured),
        rows=effect_rows(measured),
        plot=draw_curve(read_curve(store, namespace_id, measured)),
    )


def preview_of(found: StoredTip) -> Preview:
    """Return what recall would write into a prompt for this tip alone, by its own placing."""
    served = read_served_tip(served_tip(found))
    if served is None:
        return Preview(text="", tool="", problem="Recall would leave this tip out: it is empty or too long.")
    tool = served.tool or next(iter(served.tools), "")
    return Preview(text=note([served]) if tool else block([served]), tool=tool)


async def edit_form(request: Request) -> Response:
    context = context_of(request)
    entity, found = await context.read(
        _read, context.store, namespace_of(request), request.path_params["tip_id"]
    )
    return await render(
        request,
        "edit.html",
        tip=found,
        revision=entity.revision,
        categories=CATEGORIES,
        is_too_long=any(len(text) > _MOST_CHARS for text in found.texts),
        preview=preview_of(found),
        page="tips",
    )


async def preview(request: Request) -> Response:
    """Show how an agent would see the tip with the words of the form; changes nothing."""
    context = context_of(request)
    content, fields = edited_fields(form_of(request))
    _, found = await context.read(_read, context.store, namespace_of(request), request.path_params["tip_id"])
    view = preview_of(found.with_metadata(**fields).with_content(content))
    return await render(request, "preview.html", preview=view, page="tips")


@require("review")
async def edit(request: Request) -> Response:
    context, form = context_of(request), form_of(request)
    content, fields = edited_fields(form)
    tip_id = request.path_params["tip_id"]
    commit = await context.write(
        changing.edit,
        context.store,
        namespace_of(request),
        tip_id,
        content=content,
        fields=fields,
        actor=caller_of(request).actor,
        revision=_number(form, "revision"),
        reason=_value(form, "reason"),
    )
    return redirect(links_of(request).to("tips", tip_id, done=commit.version))


def edited_fields(form: Mapping[str, Sequence[str]]) -> tuple[str, dict[str, Any]]:
    """Return content and metadata of the form. Raises `InvalidInputError` without content."""
    content = _value(form, "content").strip()
    if not content:
        raise InvalidInputError("a tip needs words: write what it says")
    if any(len(value) > _MOST_CHARS for values in form.values() for value in values):
        raise InvalidInputError(f"a text of more than {_MOST_CHARS:,} characters is no tip")
    fields: dict[str, Any] = {name: _value(form, name).strip() for name in _TEXT_FIELDS}
    steps = (step.strip() for step in _value(form, "steps").splitlines())
    return content, {**fields, "implementation_steps": [step for step in steps if step]}


@require("review")
async def retire(request: Request) -> Response:
    context, tip_id = context_of(request), request.path_params["tip_id"]
    commit = await context.write(
        changing.retire, context.store, namespace_of(request), [tip_id], actor=caller_of(request).actor
    )
    return redirect(links_of(request).to("tips", tip_id, done=commit.version))


@require("review")
async def pin(request: Request) -> Response:
    context, tip_id = context_of(request), request.path_params["tip_id"]
    commit = await context.write(
        changing.pin,
        context.store,
        namespace_of(request),
        [tip_id],
        pinned=_value(form_of(request), "pinned") == "yes",
        actor=caller_of(request).actor,
    )
    return redirect(links_of(request).to("tips", tip_id, done=commit.version))


@require("review")
async def undo(request: Request) -> Response:
    """Undo a commit; where later ones changed the same, ask first."""
    context, form, links = context_of(request), form_of(request), links_of(request)
    version, back = _number(form, "version") or 0, _value(form, "back")
    page = back if back in ("review", "runs", "") else "tips"
    parts = [part for part in [_value(form, "tip")] if part and page == "tips"]
    try:
        commit = await context.write(
            undo_version,
            context.store,
            namespace_of(request),
            version,
            actor=caller_of(request).actor,
            force=_value(form, "force") == "yes",
        )
    except ConflictError as error:
        return await render(
            request,
            "undo.html",
            status=409,
            detail=str(error),
            version=version,
            back=back,
            tip_id=_value(form, "tip"),
            page=page or "overview",
        )
    return redirect(links.to(page, *parts, undone=commit.version))


def undo_version(store: Store, namespace_id: str, version: int, *, actor: str, force: bool) -> Commit:
    """Undo the commit that made this version. Raises `NotFoundError` if there is none."""
    commits = store.commits(namespace_id, after=version - 1, limit=1) if version > 0 else []
    if not commits or commits[0].version != version:
        raise NotFoundError(f"namespace '{namespace_id}' has no commit {version}", namespace_id=namespace_id)
    return changing.undo(
        store, namespace_id, [commits[0].id], actor=actor, force=force, after_version=version - 1
    )


def _value(form: Mapping[str, Sequence[str]], name: str) -> str:
    return form.get(name, [""])[0]


def _number(form: Mapping[str, Sequence[str]], name: str) -> int | None:
    text = _value(form, name)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
