"""A claim as a tip: what to do before the call, then what the tool says otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kaizen.sync.generate.offline.templates import listed_values
from kaizen.tips.tip import Tip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kaizen.sync.generate.offline.claims import Claim


def word(claim: Claim, *, quote: str = "") -> Tip:
    """Return the tip that a claim is; the same claim is always worded alike."""
    tool, said = f"`{claim.tool}`", content(claim)
    is_refusal = claim.kind != "outcome"
    return Tip(
        content=said,
        category="recovery" if is_refusal else "strategy",
        rationale=f"{tool} refused a call that did not keep to it."
        if is_refusal
        else f"Runs that called {tool} ended well only where this was called first.",
        trigger=f"{tool} is to be called{_with(claim)}.",
        implementation_steps=(f"{_action(claim)}." if _action(claim) else said,),
        task_description=f"Tasks that need {tool}.",
        quote=quote,
        signature=claim.signature,
        claim=claim.to_json(),
    )


def content(claim: Claim) -> str:
    """Return the sentence that carries the rule."""
    tool, names, others = f"`{claim.tool}`", _joined(claim.arguments), _joined(claim.tools)
    said = f'"{claim.error}"'
    if claim.is_conditional and claim.kind != "before":
        return f"Check {names} against the rule of {tool} before calling it: {said}."
    if claim.is_conditional:
        return f"Check before calling {tool} whether it would refuse with {said}; if so, {_first(claim)}."
    match claim.kind:
        case "instead" if claim.is_stated:
            return f"Call {others} instead of {tool}, which refuses with {said}."
        case "instead":
            return f"Look up with {others} when {tool} refuses with {said}."
        case "ask":
            how = f"Ask the user to check {names} when {tool} refuses with {said}"
            return f"{how}: what they gave first can be wrong."
        case "change":
            return f"Check {names} against the rule of {tool} before calling it: {said}."
        case "install":
            how = (
                f"Install all modules that a project requires with one call of {tool} before running its code"
            )
            return f"{how}: otherwise they turn out to be missing one after the other ({said})."
        case "rule" if claim.how:
            return f"{_action(claim)}: otherwise it refuses with {said}. No run has shown it yet."
        case "rule":
            how = f"Make sure that the rule of {tool} is met before calling it: {said}"
            return f"{how}. No run has shown yet how."
        case "outcome":
            return f"{_action(claim)}: every run that succeeded did, and no run that failed."
        case _:
            return f"{_action(claim)}: otherwise it refuses with {said}."


def _action(claim: Claim) -> str:
    """Return what to do and when; empty if the claim names no action."""
    is_certain = claim.kind == "before" or not claim.is_conditional
    if not (how := _first(claim) if is_certain else ""):
        return ""
    when = "before" if claim.kind in ("before", "unit", "source", "outcome") else "when"
    return f"{how[0].upper()}{how[1:]} {when} calling `{claim.tool}`"


def _first(claim: Claim) -> str:
    """Return what to do before the call, as an imperative."""
    names, others = _joined(claim.arguments), _joined(claim.tools)
    match claim.kind:
        case "before" if claim.arguments:
            return f"read every {names} of {others}"
        case "before" | "outcome":
            return f"call {others}"
        case "form" | "rule" if claim.how:
            return (
                f"write {names} {claim.how}"
                if not claim.how.startswith("as ")
                else f"pass {names} {claim.how}"
            )
        case "unit":
            verb, _, factor = claim.how.partition(" ")
            return f"{verb} {names} {factor}"
        case "listed":
            return f"pass one of {', '.join(listed_values(claim.error))} as {names}"
        case "clause":
            return f"add `{claim.how}` to {names}"
        case "command":
            return f"write `{claim.how}` and not `{claim.pattern}` in {names}"
        case "size" if claim.pattern:
            return f"pass {claim.how} as {names}"
        case "size":
            return f"pass at most {claim.how} entries in {names}"
        case "pass" if claim.how.startswith("instead"):
            return f"pass {names} {claim.how}"
        case "pass":
            return f"{claim.how} {names}"
        case "source":
            return f"take {names} from the result of {others}"
        case _:
            return ""


def _with(claim: Claim) -> str:
    return f" with {_joined(claim.arguments)}" if claim.arguments and claim.kind != "before" else ""


def _joined(names: Iterable[str]) -> str:
    *others, last = (f"`{name}`" for name in names) if names else ("",)
    return f"{', '.join(others)} and {last}" if others else last
