"""Keep a few fields of each tip of a namespace in memory: a store cannot sort by support or effect."""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple

from kaizen.tips import GUIDELINE, current_effect, is_pinned, read_tip, served_tools

if TYPE_CHECKING:
    from kaizen.store import Commit, Entity, Store

_KEPT_LISTS = 16
_MOST_VALUES = 200
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


_COUNTED = ("status", "category", "verdict", "tools")


def _key(sort: str, row: TipRow) -> tuple[Any, ...]:
    """Return what puts the row into its place; the id comes last."""
    if sort == "effect":
        return (-row.gain, -row.support, row.id)
    if sort == "newest":
        return (-row.created_at, row.id)
    if sort == "oldest":
        return (row.created_at, row.id)
    return (-row.support, -row.gain, row.id)


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
        self._rows: dict[str, TipRow] = {}
        self._counts: dict[str, Counter[str]] = {field: Counter() for field in _COUNTED}
        self._frequent: dict[str, Mapping[str, int]] = {}
        # Sorting very many takes longer than a visitor should wait: each order is kept up to date.
        self._orders: dict[str, list[tuple[Any, ...]]] = {}
        self._lists: OrderedDict[TipFilter, Sequence[str]] = OrderedDict()
        for row in filter(None, map(_row, store.iterate(namespace_id, type=GUIDELINE))):
            self._add(row)
        self._ordered("support")
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
                ids = [key[-1] for key in self._ordered(wanted.sort)]
                if wanted != TipFilter(sort=wanted.sort):
                    ids = [tip_id for tip_id in ids if wanted.selects(self._rows[tip_id])]
                self._lists[wanted] = ids
                while len(self._lists) > _KEPT_LISTS:
                    self._lists.popitem(last=False)
            return self._lists[wanted]

    def is_selected(self, tip_id: str, wanted: TipFilter) -> bool:
        row = self._rows.get(tip_id)
        return row is not None and wanted.selects(row)

    def counts(self, field: str) -> Mapping[str, int]:
        """Count the tips by `status`, `category`, `verdict` or `tools`; of these the most frequent ones."""
        with self._lock:
            if field not in self._frequent:
                found = self._counts[field].most_common(_MOST_VALUES)
                self._frequent[field] = {value: count for value, count in found if count}
            return self._frequent[field]

    def __len__(self) -> int:
        return len(self._rows)

    def _ordered(self, sort: str) -> list[tuple[Any, ...]]:
        if sort not in self._orders:
            self._orders[sort] = sorted(_key(sort, row) for row in self._rows.values())
        return self._orders[sort]

    def _apply(self, commit: Commit) -> None:
        self.version = commit.version
        for change in commit.changes:
            entity = change.after or change.before
            if entity is None:
                continue
            self.changed_at[entity.type] = commit.version
            if entity.type == GUIDELINE:
                self._replace(entity.id, _row(change.after) if change.after else None)

    def _replace(self, tip_id: str, row: TipRow | None) -> None:
        old = self._rows.pop(tip_id, None)
        for sort, order in self._orders.items():
            if old is not None:
                del order[bisect_left(order, _key(sort, old))]
            if row is not None:
                insort(order, _key(sort, row))
        if old is not None:
            self._count(old, -1)
        if row is not None:
            self._add(row)
        self._lists.clear()
        self._frequent.clear()

    def _add(self, row: TipRow) -> None:
        self._rows[row.id] = row
        self._count(row, 1)

    def _count(self, row: TipRow, difference: int) -> None:
        for field in _COUNTED:
            value = getattr(row, field)
            for each in value if isinstance(value, tuple) else (value,):
                self._counts[field][each] += difference


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
