"""Check the metadata of tips on their way into a store and out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kaizen.store import InvalidInputError
from kaizen.tips.evidence import EVIDENCE
from kaizen.tips.text import one_line

if TYPE_CHECKING:
    from kaizen.store import Entity, Put

GUIDELINE = "guideline"
"""The type of entity that tips are stored as."""

# A field that holds something else may hold a whole trace.
_LONGEST_SHOWN = 80


class InvalidTipError(InvalidInputError):
    """A tip has a metadata field with a value that it cannot have: fix the field, or delete the tip.

    `entity_id` is None for a tip that is not stored yet; `field` is the dotted path in the metadata.
    """

    def __init__(self, message: str, *, entity_id: str | None, field: str) -> None:
        super().__init__(message)
        self.entity_id = entity_id
        self.field = field


def check_tip(tip: Entity | Put) -> None:
    """Raise `InvalidTipError` if a metadata field of the tip, or of its evidence, has a wrong value.

    Other entities pass. Fields that tips do not have may hold anything.
    """
    if tip.type in (GUIDELINE, EVIDENCE):
        check_metadata(tip.id, tip.metadata, noun="tip" if tip.type == GUIDELINE else EVIDENCE)


def check_metadata(entity_id: str | None, metadata: Any, *, noun: str = "tip") -> None:
    """Raise `InvalidTipError`, naming that entity and the first wrong field, if there is one."""
    # pydantic takes longer to import than most commands to run.
    from pydantic import ValidationError

    from kaizen.tips.schema import EvidenceFields, TipMetadata

    try:
        (EvidenceFields if noun == EVIDENCE else TipMetadata).model_validate(metadata)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
    else:
        return
    field = one_line(".".join(map(str, problem["loc"])))[:_LONGEST_SHOWN]
    value = one_line(repr(problem["input"]))[:_LONGEST_SHOWN]
    found = "" if problem["type"] == "missing" else f", not {value}"
    name = f"{noun} {one_line(entity_id)}" if entity_id else f"the {noun}"
    # pydantic says "Input should be ...", "Field required".
    message = f"{problem['msg'][:1].lower()}{problem['msg'][1:]}"
    raise InvalidTipError(
        f"{name} is not valid: metadata field '{field}': {message}{found}; "
        f"fix the field or delete the {noun}",
        entity_id=entity_id,
        field=field,
    )
