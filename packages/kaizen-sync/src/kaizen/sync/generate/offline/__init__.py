"""Tips without a model: what a trajectory itself proves, worded from templates.

Deterministic and free. The wording depends on the names of tools and arguments and on what an error says
without the values of the run, so that two runs that teach the same teach it in the same words.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kaizen.sync.generate.offline.claims import Claim
from kaizen.sync.generate.offline.differences import find_claims
from kaizen.sync.generate.offline.templates import call_logs
from kaizen.sync.generate.offline.wording import content

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen.sync.generate.offline.differences import Finding
    from kaizen.sync.model import Trajectory
    from kaizen.tips.tip import Tip

PROMPT_VERSION = "offline-2"

MOST_FINDINGS = 3


def mine_tips(trajectory: Trajectory) -> list[Tip]:
    """Return at most three tips, the best proven first. `trajectory` must be redacted already."""
    return [finding.tip for finding in mine(trajectory)[:MOST_FINDINGS]]


def is_mined(tip: Tip) -> bool:
    """Return whether a tip has the words of this generator, and not those of a model."""
    return bool(tip.claim) and tip.content == content(Claim.of_json(tip.claim))


def quote_of_call(trajectory: Trajectory, tool: str) -> str:
    """Return a call of a tool that succeeded, as it can be quoted; empty if there is none."""
    calls = (call for log in call_logs(trajectory) for call in log.calls)
    return next((call.quote for call in calls if call.tool == tool and call.succeeded), "")


def mine(trajectory: Trajectory) -> list[Finding]:
    """Return the claims that a run proves, the best first, one for each error of each tool."""
    # Most runs have no refused call, and dividing one into its tasks is what takes time.
    if not any(call.failure for log in call_logs(trajectory) for call in log.calls):
        return []
    is_failed = trajectory.outcome.name == "failure"
    found: list[Finding] = []
    first_step = 1
    for log in call_logs(trajectory, by_task=True):
        found += (replace(finding, first_step=first_step) for finding in find_claims(log))
        first_step += len(log.messages)
    proven = (
        finding
        for finding in found
        # What a run did before the call that it failed in the end is no model.
        if finding.claim.is_stated or not (is_failed and finding.claim.kind == "before")
    )
    return sorted(_most_said(proven), key=lambda one: (-one.claim.rank, not one.claim.is_stated))


def _most_said(findings: Iterable[Finding]) -> list[Finding]:
    """Leave out what says less than another finding about the same error."""
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda one: -one.claim.rank):
        claim = finding.claim
        same = (one.claim for one in kept if one.claim.is_same_error(claim.tool, claim.error))
        if not any(other.says() == claim.says() or other.rank > claim.rank for other in same):
            kept.append(finding)
    return kept
