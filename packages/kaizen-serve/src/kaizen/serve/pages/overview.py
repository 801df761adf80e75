"""The start page: does it help, what was learned, what waits, what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kaizen.serve.context import context_of
from kaizen.serve.pages.effects import Effect, compared, effect_of
from kaizen.serve.pages.kept import kept_of
from kaizen.serve.pages.rendering import namespace_of, render
from kaizen.store import NotFoundError
from kaizen.sync import MIN_UNITS_A_SIDE, check_proof, check_syncs, problems_of, sync_status
from kaizen.tips import GUIDELINE, read_tip

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from kaizen.serve.pages.kept import Insights, Kept
    from kaizen.store import Store
    from kaizen.sync import Check, ProjectStatus, Proof
    from kaizen.tips import StoredTip

_TIPS = 6
_RUNS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """A tip with why it exists and whether it helps; `effect` is None where no run was to be shown it."""

    tip: StoredTip
    quote: str
    effect: Effect | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All that the start page shows. `insights` and `by_status` are None while they are found out."""

    is_empty: bool
    by_status: Mapping[str, int] | None
    headline: str
    totals: Sequence[str]
    learned: Sequence[Learned]
    runs: Sequence[Mapping[str, Any]]
    projects: Sequence[ProjectStatus]
    problems: Sequence[Check]
    is_ready: bool

    @property
    def waiting(self) -> int:
        return (self.by_status or {}).get("quarantined", 0)

    @property
    def tips(self) -> int:
        return sum((self.by_status or {}).values())


_NOTHING = Overview(
    is_empty=True,
    by_status={},
    headline="",
    totals=(),
    learned=(),
    runs=(),
    projects=(),
    problems=(),
    is_ready=True,
)


async def overview(request: Request) -> Response:
    context = context_of(request)
    view = await context.read(read_overview, context.store, kept_of(request), namespace_of(request))
    return await render(request, "overview.html", view=view, page="overview")


def read_overview(store: Store, kept: Kept, namespace_id: str) -> Overview:
    try:
        status = sync_status(store, namespace_id, max_runs=_RUNS)
        catalogue = kept.catalogue(namespace_id)
    except NotFoundError:
        return _NOTHING
    insights = kept.insights(namespace_id, catalogue) if catalogue else None
    if catalogue is not None and not catalogue and not status.runs:
        return _NOTHING
    checks = list(check_syncs(status))
    if insights and insights.proof.units:
        checks += check_proof(insights.proof)
    return Overview(
        is_empty=False,
        by_status=catalogue.counts("status") if catalogue else None,
        headline=insights.proof.headline if insights else "",
        totals=_totals(insights.proof) if insights else (),
        learned=_learned(store, namespace_id, insights) if insights else (),
        runs=list(reversed(status.runs)),
        projects=status.projects,
        problems=problems_of(checks),
        is_ready=insights is not None,
    )


def _totals(proof: Proof) -> list[str]:
    """Return what all tips together do, in a sentence for each outcome that the headline tells of."""
    estimates = proof.total.estimates if proof.total else {}
    told = [one for kind in ("no_refused_call", "success") if (one := estimates.get(kind))]
    return [compared(one, of="tips") for one in told if min(one.shown, one.held_out) >= MIN_UNITS_A_SIDE]


def _learned(store: Store, namespace_id: str, insights: Insights) -> list[Learned]:
    """Return those of which most is known; then the newest active ones."""
    measured = [one for one in insights.proof.tips if one.tip.status != "retired"][:_TIPS]
    found = [_one_learned(one.tip, effect_of(one)) for one in measured]
    if len(found) < _TIPS:
        known = {one.tip.id for one in measured}
        page = store.list(namespace_id, type=GUIDELINE, where={"status": "active"}, limit=2 * _TIPS)
        others = (tip for entity in page.entities if (tip := read_tip(entity)) and tip.id not in known)
        found += (_one_learned(tip, None) for tip in others)
    return found[:_TIPS]


def _one_learned(tip: StoredTip, effect: Effect | None) -> Learned:
    quotes = (source.quote for source in reversed(tip.evidence) if source.quote and source.verified)
    return Learned(tip=tip, quote=next(quotes, ""), effect=effect)
