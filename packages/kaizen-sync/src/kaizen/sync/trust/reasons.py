"""Why a tip waits for a person, in words for that person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.sync.trust.hidden import HIDES
from kaizen.sync.trust.injection import INJECTION
from kaizen.sync.trust.orders import CONTACTS, CREDENTIALS, FETCHES, OVERRIDES, WEAKENS, dangers

if TYPE_CHECKING:
    from kaizen.sync.model import Tip

QUOTE_MISSING = "its quote is not in the trace"

_DANGERS = (FETCHES, WEAKENS, CREDENTIALS, OVERRIDES, CONTACTS, HIDES, INJECTION)
_SEPARATOR = "; "


def quarantine_reason(tip: Tip, *, is_quoted: bool, injection: str) -> str:
    """All reasons why the tip must not reach an agent unseen; empty where there is none.

    `injection` is what `injection_attempt` says of the trajectory that the tip comes from.
    """
    texts = (tip.content, *tip.implementation_steps, tip.trigger, tip.rationale, tip.task_description)
    reasons = [*dangers(texts), *([] if is_quoted else [QUOTE_MISSING]), *([injection] if injection else [])]
    return _SEPARATOR.join(reason.replace(";", ",") for reason in reasons)


def is_dangerous(reason: str) -> bool:
    """Whether a check found more than a quote that is missing; a person may have reasons of their own."""
    return any(part.startswith(_DANGERS) for part in reason.split(_SEPARATOR))


def without_missing_quote(reason: str) -> str:
    """The reasons that are left once the quote was found."""
    return _SEPARATOR.join(part for part in reason.split(_SEPARATOR) if part != QUOTE_MISSING)
