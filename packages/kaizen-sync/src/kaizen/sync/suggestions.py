"""Take a tip that an agent suggests: it waits for a person, whatever it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen.store import InvalidInputError, Put, uuid7
from kaizen.sync.redact import Redaction, Redactor
from kaizen.sync.trust.reasons import quarantine_reason
from kaizen.tips.checks import GUIDELINE, check_metadata
from kaizen.tips.tip import CATEGORIES, REASON_SEPARATOR, SCHEMA_VERSION, Category, Tip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen.store import Entity, Store

SUGGESTED = "suggested"
MOST_WAITING = 200

_MOST_TEXT = 2_000
_MOST_STEPS = 10


def suggest_tip(
    store: Store,
    namespace_id: str,
    *,
    content: str,
    actor: str,
    category: Category = "strategy",
    trigger: str = "",
    steps: Sequence[str] = (),
    rationale: str = "",
    task: str = "",
    redaction: Redaction | None = None,
) -> Entity:
    """Put the tip into quarantine and return it; secrets are taken out of it.

    Raises `InvalidInputError` for a tip that is empty or too long, and where too many suggestions wait.
    """
    texts = [content, trigger, rationale, task, *steps]
    if not content.strip() or len(steps) > _MOST_STEPS or max(map(len, texts)) > _MOST_TEXT:
        raise InvalidInputError(
            f"a tip says something, in texts of at most {_MOST_TEXT:,} characters and in at most "
            f"{_MOST_STEPS} steps"
        )
    if category not in CATEGORIES:
        raise InvalidInputError(f"'{category}' is not one of {', '.join(CATEGORIES)}")
    waiting = {"status": "quarantined", "creation_mode": SUGGESTED}
    if store.count(namespace_id, type=GUIDELINE, where=waiting) >= MOST_WAITING:
        raise InvalidInputError(
            f"{MOST_WAITING} suggestions wait for a person: decide on some first with `kaizen tips review`"
        )
    clean = Redactor(redaction or Redaction()).text
    tip = Tip(
        content=clean(content.strip()),
        category=category,
        trigger=clean(trigger),
        implementation_steps=tuple(map(clean, steps)),
        rationale=clean(rationale),
        task_description=clean(task),
        quote="",
    )
    return _commit(store, namespace_id, tip, actor)


def _commit(store: Store, namespace_id: str, tip: Tip, actor: str) -> Entity:
    dangers = quarantine_reason(tip, is_quoted=True, injection="")
    metadata: dict[str, Any] = {
        "category": tip.category,
        "trigger": tip.trigger,
        "implementation_steps": list(tip.implementation_steps),
        "rationale": tip.rationale,
        "task_description": tip.task_description,
        "creation_mode": SUGGESTED,
        "suggested_by": actor,
        "status": "quarantined",
        "quarantine_reason": REASON_SEPARATOR.join(filter(None, [f"suggested by {actor}", dangers])),
        "schema_version": SCHEMA_VERSION,
        "sources": [],
        "support": 0,
    }
    check_metadata(None, metadata)
    put = Put(id=str(uuid7()), type=GUIDELINE, content=tip.content, metadata=metadata)
    commit = store.commit(namespace_id, [put], actor=actor, reason="suggested")
    entity = commit.changes[0].after
    assert entity is not None
    return entity
