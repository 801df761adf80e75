"""Tips without a model: what a trajectory itself proves, worded from templates.

Deterministic and free. The wording depends on the names of tools and arguments and on what an error says
without the values of the run, so that two runs that teach the same teach it in the same words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.sync.generate.offline.differences import find_claims
from kaizen.sync.generate.offline.templates import call_logs
from kaizen.sync.generate.offline.wording import word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen.sync.generate.offline.differences import Finding
    from kaizen.sync.model import Trajectory
    from kaizen.tips.tip import Tip

PROMPT_VERSION = "offline-2"

_MOST_TIPS = 3
_QUOTE_CHARS = 300
# What the error does not say itself, and a run that failed in the end is no model of.
_ONLY_BY_SUCCESS = frozenset({"before", "excluded"})


def mine_tips(trajectory: Trajectory) -> list[Tip]:
    """Return at most three tips, the best proven first. `trajectory` must be redacted already."""
    return [word(found.claim, quote=_quote(found)) for found in mine(trajectory)[:_MOST_TIPS]]


def mine(trajectory: Trajectory) -> list[Finding]:
    """Return the claims that a run proves, the best first, one for each error of each tool."""
    is_failed = trajectory.outcome.name == "failure"
    found = (
        finding
        for log in call_logs(trajectory)
        for finding in find_claims(log)
        if finding.claim.is_stated or not (is_failed and finding.claim.kind in _ONLY_BY_SUCCESS)
    )
    return sorted(_most_said(found), key=lambda one: (one.claim.is_vague, not one.claim.is_stated))


def _most_said(findings: Iterable[Finding]) -> list[Finding]:
    """Leave out what says less than another finding about the same error."""
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda one: one.claim.is_vague):
        claim = finding.claim
        same = (one.claim for one in kept if one.claim.is_same_error(claim.tool, claim.error))
        if not any(other.says() == claim.says() or claim.is_vague for other in same):
            kept.append(finding)
    return kept


def _quote(finding: Finding) -> str:
    line = finding.failed.failure.line if finding.failed.failure else finding.failed.quote
    return line[:_QUOTE_CHARS].strip()
