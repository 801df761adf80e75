"""What changed on a tip, when and by whom, with the words that differ."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kaizen.serve.pages.text import bounded, summary

if TYPE_CHECKING:
    from datetime import datetime

    from kaizen.store import Applied, Commit, Entity, Store

_REVISIONS = 20
# Comparing takes time with the square of the length, and anyone may have written the texts.
_COMPARED_WORDS = 600
_SHOWN_CHARS = 2_000
_WORD = re.compile(r"\s+|\w+|[^\w\s]")
# The texts that agents see are compared; all else is told in one line.
_TEXTS = ("content", "trigger", "implementation_steps", "rationale", "task_description", "category")
_SUMMED = {"sources": "evidence", "support_by": "outcomes of its evidence", "schema_version": "form"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A field that a commit changed, in pieces: `=` in both texts, `-` only before, `+` only after."""

    name: str
    pieces: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One commit that touched the tip; `also` tells of fields that are no texts, `others` counts entities."""

    version: int
    at: datetime
    actor: str
    reason: str
    run_id: str | None
    kind: str
    changes: Sequence[Change]
    also: Sequence[str]
    others: int
    is_last: bool


def read_history(store: Store, namespace_id: str, tip_id: str) -> list[Revision]:
    """Return the last commits that touched the tip, the newest first."""
    commits = store.history(namespace_id, tip_id)
    return [
        _revision(store, commit, is_last=commit is commits[-1]) for commit in reversed(commits[-_REVISIONS:])
    ]


def _revision(store: Store, commit: Commit, *, is_last: bool) -> Revision:
    applied = commit.changes[0]
    changes = list(_changes(applied))
    whole = store.commits(commit.namespace_id, after=commit.version - 1, limit=1)
    return Revision(
        version=commit.version,
        at=commit.at,
        actor=commit.actor,
        reason=commit.reason,
        run_id=commit.run_id,
        kind="created" if applied.before is None else "deleted" if applied.after is None else "changed",
        changes=[change for change in changes if change.name in _TEXTS],
        also=[change.name for change in changes if change.name not in _TEXTS],
        others=len(whole[0].changes) - 1 if whole else 0,
        is_last=is_last,
    )


def _changes(applied: Applied) -> Iterator[Change]:
    before, after = _fields(applied.before), _fields(applied.after)
    if applied.before is None or applied.after is None:
        return
    names = [*_TEXTS, *sorted({*before, *after} - set(_TEXTS))]
    for name in names:
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if name in _TEXTS:
            yield Change(name=name, pieces=diff(_as_text(old), _as_text(new)))
        elif isinstance(old, int | str | None) and isinstance(new, int | str | None):
            yield Change(name=f"{_name(name)} {_brief(old)} → {_brief(new)}", pieces=())
        else:
            yield Change(name=_name(name), pieces=())


def _name(field: str) -> str:
    return _SUMMED.get(field, field.replace("_", " "))


def _brief(value: object) -> str:
    return summary(str(value), 60) if value not in (None, "") else "none"


def _fields(entity: Entity | None) -> Mapping[str, Any]:
    return {"content": entity.content, **entity.metadata} if entity else {}


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return "\n".join(value)
    return json.dumps(value, ensure_ascii=False)


def diff(old: str, new: str) -> list[tuple[str, str]]:
    """Return the pieces of two texts, word by word; long ones as a whole."""
    ours, theirs = _WORD.findall(old[: 10 * _COMPARED_WORDS]), _WORD.findall(new[: 10 * _COMPARED_WORDS])
    if not ours or not theirs or max(len(ours), len(theirs)) > _COMPARED_WORDS:
        return [(sign, bounded(text, _SHOWN_CHARS)) for sign, text in (("-", old), ("+", new)) if text]
    pieces: list[tuple[str, str]] = []
    matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
    for operation, a, b, c, d in matcher.get_opcodes():
        if operation == "equal":
            pieces.append(("=", "".join(ours[a:b])))
            continue
        pieces += [
            (sign, text) for sign, text in (("-", "".join(ours[a:b])), ("+", "".join(theirs[c:d]))) if text
        ]
    return pieces
