"""The list of tips: search as you type, filters, and decisions on many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaizen.serve import changing
from kaizen.serve.context import context_of
from kaizen.serve.pages.catalogue import SORTS, TipFilter
from kaizen.serve.pages.effects import Effect, effect_of
from kaizen.serve.pages.kept import kept_of
from kaizen.serve.pages.rendering import (
    form_of,
    is_fragment,
    links_of,
    namespace_of,
    redirect,
    render,
)
from kaizen.serve.pages.words import counted
from kaizen.serve.security import caller_of, require
from kaizen.store import InvalidInputError, NotFoundError, Where, search_page
from kaizen.tips import GUIDELINE, read_tip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request
    from starlette.responses import Response

    from kaizen.serve.pages.catalogue import Catalogue
    from kaizen.serve.pages.kept import Insights, Kept
    from kaizen.store import Commit, Store
    from kaizen.tips import ReviewDecision, StoredTip

A_PAGE = 50
_MOST_HITS = 200
_MOST_QUERY = 500
_ACTIONS = ("approve", "reject", "retire")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTip:
    tip: StoredTip
    revision: int
    is_stale: bool
    effect: Effect | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TipList:
    """One page of tips; `counts` has the choices of filters. Not ready while the catalogue is made."""

    tips: Sequence[ListedTip]
    total: int
    page: int
    counts: Mapping[str, Mapping[str, int]]
    is_ready: bool = True

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // A_PAGE))

    @property
    def first(self) -> int:
        return (self.page - 1) * A_PAGE + 1 if self.total else 0

    @property
    def last(self) -> int:
        return min(self.total, self.page * A_PAGE)


async def tips(request: Request) -> Response:
    """Show the list, or for a script only what changes with the search."""
    context, params = context_of(request), request.query_params
    query = params.get("q", "").strip()[:_MOST_QUERY]
    names = ("status", "category", "tool", "verdict", "stale")
    chosen = {name: params.get(name, "")[:_MOST_QUERY] for name in names}
    sort = params.get("sort", "") if params.get("sort", "") in SORTS else "support"
    number = params.get("page", "1")
    page = int(number) if number.isascii() and number.isdecimal() and len(number) < 9 else 1
    try:
        view = await context.read(
            read_tips_page,
            context.store,
            kept_of(request),
            namespace_of(request),
            query=query,
            chosen={**chosen, "sort": sort},
            page=max(1, page),
        )
    except NotFoundError:
        # The default one is made by the first sync.
        if namespace_of(request) != context.namespace_id:
            raise
        view = TipList(tips=(), total=0, page=1, counts={})
    template = "tips_results.html" if is_fragment(request) else "tips.html"
    return await render(
        request, template, view=view, query=query, chosen=chosen, sort=sort, sorts=SORTS, page="tips"
    )


def read_tips_page(
    store: Store, kept: Kept, namespace_id: str, *, query: str, chosen: Mapping[str, str], page: int
) -> TipList:
    """Return one page of the tips that a query finds and filters select; of a query, the best of 200 hits."""
    catalogue = kept.catalogue(namespace_id)
    insights = kept.insights(namespace_id, catalogue) if catalogue else None
    is_waiting = insights is None and bool(chosen["stale"])
    if catalogue is None or is_waiting:
        return TipList(tips=(), total=0, page=1, counts={}, is_ready=False)
    wanted = TipFilter(
        **{name: chosen[name] for name in ("status", "category", "tool", "verdict", "sort")},
        ids=insights.stale if insights and chosen["stale"] else None,
    )
    if query:
        ids: Sequence[str] = _found(store, namespace_id, query, catalogue, wanted)
    else:
        ids = catalogue.list_ids(wanted)
    start = (page - 1) * A_PAGE
    counts = {name: catalogue.counts(name) for name in ("status", "category", "tools", "verdict")}
    listed = list(_listed(store, namespace_id, ids[start : start + A_PAGE], insights))
    return TipList(tips=listed, total=len(ids), page=page, counts=counts)


def _found(store: Store, namespace_id: str, query: str, catalogue: Catalogue, wanted: TipFilter) -> list[str]:
    where = Where(equal={name: value for name in ("status", "category") if (value := getattr(wanted, name))})
    hits = search_page(store, namespace_id, query, types=(GUIDELINE,), where=where, limit=_MOST_HITS)
    return [hit.entity.id for hit in hits if catalogue.is_selected(hit.entity.id, wanted)]


def _listed(
    store: Store, namespace_id: str, ids: Sequence[str], insights: Insights | None
) -> Iterator[ListedTip]:
    entities = store.get_many(namespace_id, list(ids))
    measured = {one.tip.id: one for one in insights.proof.tips} if insights else {}
    for tip_id in ids:
        if (entity := entities.get(tip_id)) and (tip := read_tip(entity)):
            known = measured.get(tip_id)
            yield ListedTip(
                tip=tip,
                revision=entity.revision,
                is_stale=insights is not None and tip_id in insights.stale,
                effect=effect_of(known) if known else None,
            )


@require("review")
async def change_tips(request: Request) -> Response:
    """Approve, reject or retire the tips that were ticked, as they were shown, in one commit."""
    form = form_of(request)
    action = form.get("action", [""])[0]
    if action not in _ACTIONS:
        raise InvalidInputError(f"{action!r} is not approve, reject or retire")
    ticked = [value.rpartition("@") for value in form.get("tip", [])]
    revisions = {tip_id: int(revision) for tip_id, _, revision in ticked if tip_id and revision.isdecimal()}
    links, back = links_of(request), form.get("back", [""])[0]
    query = back if back.startswith("?") else "?"
    if not revisions:
        return redirect(f"{links.to('tips')}{query}")
    context = context_of(request)
    commit = await context.write(
        change_many, context.store, namespace_of(request), action, revisions, actor=caller_of(request).actor
    )
    separator = "" if query.endswith("?") else "&"
    return redirect(f"{links.to('tips')}{query}{separator}done={commit.version}")


def change_many(
    store: Store, namespace_id: str, action: str, revisions: Mapping[str, int], *, actor: str
) -> Commit:
    if action == "retire":
        reason = f"{counted(len(revisions), 'tip')} retired"
        return changing.retire(store, namespace_id, list(revisions), actor=actor, reason=reason)
    decision: ReviewDecision = "approved" if action == "approve" else "rejected"
    decisions = dict.fromkeys(revisions, decision)
    return changing.review_tips(store, namespace_id, decisions, actor=actor, revisions=revisions)
