"""Decide whether a tip may be shown to agents: traces are untrusted, and so are tips made of them."""

from __future__ import annotations

from kaizen.sync.trust.injection import injection_attempt
from kaizen.sync.trust.orders import dangers
from kaizen.sync.trust.origins import is_of_a_stranger
from kaizen.sync.trust.reasons import quarantine_reason
from kaizen.tips.tip import QUOTE_MISSING, without_missing_quote

__all__ = [
    "QUOTE_MISSING",
    "dangers",
    "injection_attempt",
    "is_of_a_stranger",
    "quarantine_reason",
    "without_missing_quote",
]
