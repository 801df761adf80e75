"""Give the reasons for which a tip waits for a person, in words for that person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.sync.trust.hidden import HIDES
from kaizen.sync.trust.injection import INJECTION
from kaizen.sync.trust.orders import (
    CONTACTS,
    CREDENTIALS,
    FETCHES,
    OVERRIDES,
    PERMITS,
    RECEIVES,
    SOURCES,
    WEAKENS,
    dangers,
)
from kaizen.tips.tip import ONLY_STRANGERS, QUOTE_MISSING, REASON_SEPARATOR

if TYPE_CHECKING:
    from kaizen.tips.tip import Tip


VETO = "a model found it unsafe"

_DANGERS = (
    *(FETCHES, WEAKENS, CREDENTIALS, OVERRIDES, CONTACTS, PERMITS, RECEIVES, SOURCES),
    *(HIDES, INJECTION, VETO),
)


def quarantine_reason(tip: Tip, *, is_quoted: bool, injection: str, is_of_a_stranger: bool = False) -> str:
    """Return all reasons why a person must see the tip before an agent does; empty if there are none.

    `injection` is what `injection_attempt` found in the trajectory that the tip comes from, and
    `is_of_a_stranger` says that its only quote is text that a tool fetched.
    """
    texts = (tip.content, *tip.implementation_steps, tip.trigger, tip.rationale, tip.task_description)
    reasons = dangers(texts)
    if tip.as_written:
        # Before its values became placeholders; where it names a value of its own run, nobody is contacted.
        known = {reason.partition(":")[0] for reason in [*reasons, CONTACTS, RECEIVES]}
        reasons += [one for one in dangers(tip.as_written) if one.partition(":")[0] not in known]
    reasons += [QUOTE_MISSING] * (not is_quoted) + [ONLY_STRANGERS] * (is_quoted and is_of_a_stranger)
    reasons += [f"{VETO}: {tip.veto}"] * bool(tip.veto) + [injection] * bool(injection)
    # A separator inside a reason would make two of it.
    return REASON_SEPARATOR.join(reason.replace(";", ",") for reason in reasons)


def is_dangerous(reason: str) -> bool:
    """Return whether a check found more than a missing quote; a person may have other reasons."""
    return any(part.startswith(_DANGERS) for part in reason.split(REASON_SEPARATOR))
