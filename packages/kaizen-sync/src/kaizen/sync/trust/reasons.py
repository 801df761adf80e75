"""Give the reasons for which a tip waits for a person, in words for that person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.sync.trust.hidden import HIDES
from kaizen.sync.trust.injection import INJECTION
from kaizen.sync.trust.orders import CONTACTS, CREDENTIALS, FETCHES, OVERRIDES, WEAKENS, dangers
from kaizen.tips.tip import QUOTE_MISSING, REASON_SEPARATOR

if TYPE_CHECKING:
    from kaizen.tips.tip import Tip


_DANGERS = (FETCHES, WEAKENS, CREDENTIALS, OVERRIDES, CONTACTS, HIDES, INJECTION)


def quarantine_reason(tip: Tip, *, is_quoted: bool, injection: str) -> str:
    """Return all reasons why a person must see the tip before an agent does; empty if there are none.

    `injection` is what `injection_attempt` found in the trajectory that the tip comes from.
    """
    texts = (tip.content, *tip.implementation_steps, tip.trigger, tip.rationale, tip.task_description)
    reasons = [*dangers(texts), *([] if is_quoted else [QUOTE_MISSING]), *([injection] if injection else [])]
    # A separator inside a reason would make two of it.
    return REASON_SEPARATOR.join(reason.replace(";", ",") for reason in reasons)


def is_dangerous(reason: str) -> bool:
    """Return whether a check found more than a missing quote; a person may have other reasons."""
    return any(part.startswith(_DANGERS) for part in reason.split(REASON_SEPARATOR))
