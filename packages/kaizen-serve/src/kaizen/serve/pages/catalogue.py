"""Keep a few fields of each tip of a namespace in memory: a store cannot sort by support or effect."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple

from kaizen.tips import GUIDELINE, current_effect, is_pinned, read_tip, served_tools

if TYPE_CHECKING:
    from kaizen.store import Commit, Entity, Store

_KEPT_LISTS = 16
UNMEASURED = "not measured"


class TipRow(NamedTuple):
    """What tips are filtered and sorted by. Times are seconds since 1970."""

    id: str
    status: str
    category: str
    tools: tuple[str, ...]
    verdict: str
    gain: float
    support: int
    created_at: float
    is_pinned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TipFilter:
    """Which tips are listed, and in which order; empty is all. `ids` are the only ones, if given."""

    status: str = ""
    category: str = ""
    tool: str = ""
    verdict: str = ""
    sort: str = "support"
    ids: frozenset[str] | None = None

    def selects(self, row: TipRow) -> bool:
        return (
            (not self.status or row.status == self.status)
            and (not self.category or row.category == self.category)
            and (not self.verdict or row.verdict == self.verdict)
            and (not self.tool or self.tool in row.tools)
            and (self.ids is None or row.id in self.ids)
        )


SORTS = {"support": "Most support", "effect": "Greatest effect", "newest": "Newest", "oldest": "Oldest"}


def _order(sort: str) -> Any:
    if sort == "effect":
        return lambda row: (-row.gain, -row.support, row.id)
    if sort == "newest":
        return lambda row: (-row.created_at, row.id)
    if sort == "oldest":
        return lambda row: (row.created_at, row.id)
    return lambda row: (-row.support, -row.gain, row.id)


class Catalogue:
    """The rows of all tips of one namespace as of `version`."""

    def __init__(self, store: Store, namespace_id: str) -> None:
        self._store = store
        self._namespace_id = namespace_id
        self._lock = threading.Lock()
        namespace = store.get_namespace(namespace_id)
        self.created_at, self.version = namespace.created_at, namespace.version
        self.changed_at: dict[str, int] = {}
        """The version that changed an entity of each type last, as far as one did since this was made."""
        rows = map(_row, store.iterate(namespace_id, type=GUIDELINE))
        self._rows = {row.id: row for row in rows if row}
        self._lists: OrderedDict[TipFilter, Sequence[str]] = OrderedDict()
        self._counts: dict[str, Counter[str]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take in what was committed since."""
        with self._lock:
            while commits := self._store.commits(self._namespace_id, after=self.version):
                for commit in commits:
                    self._apply(commit)

    def list_ids(self, wanted: TipFilter) -> Sequence[str]:
        """Return the ids of the tips that are wanted, in order."""
        with self._lock:
            if wanted not in self._lists:
                found = sorted(filter(wanted.selects, self._rows.values()), key=_order(wanted.sort))
                self._lists[wanted] = [row.id for row in found]
                while len(self._lists) > _KEPT_LISTS:
                    self._lists.popitem(last=False)
            return self._lists[wanted]

    def is_selected(self, tip_id: str, wanted: TipFilter) -> bool:
        row = self._rows.get(tip_id)
        return row is not None and wanted.selects(row)

    def counts(self, field: str) -> Mapping[str, int]:
        """Count the tips by `status`, `category`, `verdict` or `tools`, the most first."""
        with self._lock:
            if field not in self._counts:
                values = (getattr(row, field) for row in self._rows.values())
                each = (tool for tools in values for tool in tools) if field == "tools" else values
                self._counts[field] = Counter(dict(Counter(each).most_common()))
            return self._counts[field]

    def __len__(self) -> int:
        return len(self._rows)

    def _apply(self, commit: Commit) -> None:
        self.version = commit.version
        for change in commit.changes:
            entity = change.after or change.before
            if entity is None:
                continue
            self.changed_at[entity.type] = commit.version
            if entity.type == GUIDELINE:
                row = _row(change.after) if change.after else None
                self._rows.pop(entity.id, None)
                if row:
                    self._rows[row.id] = row
                self._lists.clear()
                self._counts.clear()


def _row(entity: Entity) -> TipRow | None:
    tip = read_tip(entity)
    if tip is None:
        return None
    effect = current_effect(tip)
    return TipRow(
        id=tip.id,
        status=intern(tip.status),
        category=intern(tip.category),
        tools=tuple(map(intern, served_tools(tip))),
        verdict=intern(str(effect.get("verdict") or UNMEASURED)),
        gain=number(effect.get("gain")),
        support=tip.support,
        created_at=entity.created_at.timestamp(),
        is_pinned=is_pinned(tip),
    )


def number(value: object) -> float:
    """Return a number from metadata, which others may have written; 0 if it is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
