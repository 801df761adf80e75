"""What can be read: tips, their evidence and history, what was measured of them, and the runs of syncs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from kaizen.serve.api import shapes
from kaizen.serve.api.operations import Asked, Id, InNamespace, Operation
from kaizen.store import CorruptDataError, Where, find_entity, read_page, search_page
from kaizen.sync import read_curve, read_proof, read_staleness, sync_status
from kaizen.tips import EVIDENCE, GUIDELINE, InvalidTipError, StoredTip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen.store import Entity, Page, SearchHit, Store


class Filters(InNamespace):
    status: shapes.Status | None = Field(default=None, description="Only tips with this status.")
    category: str | None = Field(default=None, max_length=100, description="Only tips of this category.")
    tool: str | None = Field(
        default=None, max_length=200, description="Only tips that prevent a failed call of this tool."
    )

    @property
    def where(self) -> dict[str, str]:
        named = {"status": self.status, "category": self.category, "signature.tool": self.tool}
        return {path: value for path, value in named.items() if value is not None}


class ListTips(Filters):
    stale: bool = Field(default=False, description="Only tips that are older than their tools.")
    after: Id | None = Field(default=None, description="The cursor of a page.")
    limit: int = Field(default=100, ge=1, le=1000)


class SearchTips(Filters):
    q: str = Field(min_length=1, max_length=1000, description="A task in plain words, or some words.")
    limit: int = Field(default=10, ge=1, le=100)


class OneTip(InNamespace):
    tip_id: Id = Field(description="Id of the tip, or a beginning that no other has.")


class EvidenceOfTip(OneTip):
    after: Id | None = Field(default=None, description="The cursor of a page.")
    limit: int = Field(default=100, ge=1, le=1000)


class ReadProof(InNamespace):
    pass


class ReadRuns(InNamespace):
    limit: int = Field(default=10, ge=1, le=1000, description="How many runs, the newest.")


async def list_tips(asked: Asked) -> shapes.TipPage:
    page = await asked.context.read(_page, asked.context.store, asked.namespace_id, asked.parameters)
    return shapes.TipPage(tips=_readable(page.entities), cursor=page.cursor)


def _page(store: Store, namespace_id: str, wanted: ListTips) -> Page:
    keep = read_staleness(store, namespace_id).is_stale if wanted.stale else None
    return read_page(
        store,
        namespace_id,
        types=(GUIDELINE,),
        where=Where(equal=wanted.where),
        keep=keep,
        after=wanted.after,
        limit=wanted.limit,
    )


async def search_tips(asked: Asked) -> shapes.Hits:
    wanted: SearchTips = asked.parameters
    hits = await asked.context.read(
        search_page,
        asked.context.store,
        asked.namespace_id,
        wanted.q,
        types=(GUIDELINE,),
        where=Where(equal=wanted.where),
        limit=wanted.limit,
    )
    return shapes.Hits(hits=[hit for found in hits for hit in _hit(found)])


def _hit(hit: SearchHit) -> Iterable[shapes.Hit]:
    for tip in _readable([hit.entity]):
        yield shapes.Hit(tip=tip, score=hit.score, lexical=hit.lexical, dense=hit.dense)


async def show_tip(asked: Asked) -> shapes.Tip:
    entity = await _tip(asked)
    try:
        return shapes.Tip.of(entity)
    except InvalidTipError as error:
        # What is stored is wrong, and not what was asked.
        raise CorruptDataError(str(error), path=asked.context.store.location) from error


async def list_evidence(asked: Asked) -> shapes.EvidencePage:
    page = await asked.context.read(_evidence, asked.context.store, asked.namespace_id, asked.parameters)
    return shapes.EvidencePage(evidence=list(map(shapes.Evidence.of, page.entities)), cursor=page.cursor)


def _evidence(store: Store, namespace_id: str, wanted: EvidenceOfTip) -> Page:
    tip = StoredTip.of(find_entity(store, namespace_id, wanted.tip_id, type=GUIDELINE))
    # Pages of one tip's evidence; what came from merged tips has their ids.
    known = set(tip.evidence_tip_ids)
    equal: dict[str, Any] = {"tip_id": tip.id} if len(known) == 1 else {}
    return read_page(
        store,
        namespace_id,
        types=(EVIDENCE,),
        where=Where(equal=equal),
        keep=None if equal else lambda entity: entity.metadata.get("tip_id") in known,
        after=wanted.after,
        limit=wanted.limit,
    )


async def show_history(asked: Asked) -> shapes.History:
    entity = await _tip(asked)
    commits = await asked.context.read(asked.context.store.history, asked.namespace_id, entity.id)
    return shapes.History(commits=list(map(shapes.CommitShape.of, commits)))


async def show_proof(asked: Asked) -> dict[str, Any]:
    return (await asked.context.latest(asked.namespace_id, read_proof)).to_json()


async def show_measured(asked: Asked) -> dict[str, Any]:
    entity = await _tip(asked)
    proof = await asked.context.latest(asked.namespace_id, read_proof)
    found = next((one for one in proof.tips if one.tip.id == entity.id), None)
    if found is None:
        return {"measured": None, "curve": []}
    curve = await asked.context.read(read_curve, asked.context.store, asked.namespace_id, found)
    return {"measured": found.to_json(), "curve": curve}


async def show_runs(asked: Asked) -> dict[str, Any]:
    wanted: ReadRuns = asked.parameters
    status = await asked.context.read(
        sync_status, asked.context.store, asked.namespace_id, max_runs=wanted.limit
    )
    return status.to_json()


async def _tip(asked: Asked) -> Entity:
    wanted: OneTip = asked.parameters
    return await asked.context.read(
        find_entity, asked.context.store, asked.namespace_id, wanted.tip_id, type=GUIDELINE
    )


def _readable(entities: Iterable[Entity]) -> list[shapes.Tip]:
    """Return the tips that are valid; `kaizen tips` names the others."""
    found = []
    for entity in entities:
        try:
            found.append(shapes.Tip.of(entity))
        except InvalidTipError:
            continue
    return found


def _read(path: str, name: str, summary: str, function: Any, gives: Any, parameters: Any) -> Operation:
    return Operation(
        method="GET",
        path=path,
        name=name,
        summary=summary,
        scope="read",
        function=function,
        gives=gives,
        parameters=parameters,
    )


# Ids may hold slashes, so what follows one in a path comes before the id alone.
OPERATIONS = (
    _read("/v1/tips", "list_tips", "List tips, by id.", list_tips, shapes.TipPage, ListTips),
    _read("/v1/tips/search", "search_tips", "Find tips, best first.", search_tips, shapes.Hits, SearchTips),
    _read(
        "/v1/tips/{tip_id:path}/evidence",
        "list_evidence",
        "List what backs a tip.",
        list_evidence,
        shapes.EvidencePage,
        EvidenceOfTip,
    ),
    _read(
        "/v1/tips/{tip_id:path}/history",
        "show_history",
        "Show who changed a tip, when and why.",
        show_history,
        shapes.History,
        OneTip,
    ),
    _read(
        "/v1/tips/{tip_id:path}/proof",
        "show_measured",
        "Show what was measured of a tip.",
        show_measured,
        shapes.MeasuredTip,
        OneTip,
    ),
    _read("/v1/tips/{tip_id:path}", "show_tip", "Show a tip.", show_tip, shapes.Tip, OneTip),
    _read("/v1/proof", "show_proof", "Show what tips do.", show_proof, shapes.Proof, ReadProof),
    _read("/v1/runs", "show_runs", "Show how far syncs have come.", show_runs, shapes.Runs, ReadRuns),
)
