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
    tool, error = f"`{claim.tool}`", f'"{claim.error}"'
    return Tip(
        content=content(claim),
        category="recovery",
        rationale=_rationale(claim),
        trigger=f"{tool} is to be called{_with(claim)}.",
        implementation_steps=(*_steps(claim), f"Read what it says if {tool} still refuses: {error}."),
        task_description=f"Tasks that need {tool}.",
        quote=quote,
        signature=claim.signature,
        claim=claim.to_json(),
    )


def content(claim: Claim) -> str:
    """Return the sentence that carries the rule."""
    tool, names, others = f"`{claim.tool}`", _joined(claim.arguments), _joined(claim.tools)
    said = f'"{claim.error}"'
    if claim.is_conditional:
        return f"Check before calling {tool} whether it would refuse with {said}; if so, {_first(claim)}."
    match claim.kind:
        case "excluded":
            how = f"Decide between {others} and {tool} for one {names} before calling either"
            return f"{how}: after {others}, {tool} refuses with {said}."
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
        case "rule":
            how = f"Make sure that the rule of {tool} is met before calling it: {said}"
            return f"{how}. No run has shown yet how."
        case _:
            return f"{_capital(_first(claim))} {_when(claim)} {tool}: otherwise it refuses with {said}."


def _when(claim: Claim) -> str:
    return "before calling" if claim.kind in ("before", "unit", "source") else "when calling"


def _first(claim: Claim) -> str:
    """Return what to do before the call, as an imperative."""
    names, others = _joined(claim.arguments), _joined(claim.tools)
    match claim.kind:
        case "before" if claim.arguments:
            return f"read every {names} of {others}"
        case "before":
            return f"call {others}"
        case "form":
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
        case "pass":
            return f"{claim.how} {names}"
        case _:
            return f"take {names} from the result of {others}"


def _steps(claim: Claim) -> tuple[str, ...]:
    tool = f"`{claim.tool}`"
    match claim.kind:
        case "excluded":
            return (f"Ask which of {_joined(claim.tools)} and {tool} is wanted, before calling either.",)
        case "instead":
            return (f"Call {_joined(claim.tools)} with what else is known.",)
        case "ask":
            return (f"Say which {_joined(claim.arguments)} was refused, and ask for it again.",)
        case "change":
            return (f"Compare {_joined(claim.arguments)} with the rule before calling {tool}.",)
        case "install":
            return (
                "Read from the project's own files which modules it requires.",
                "Install them all at once.",
            )
        case "rule":
            return (f"Look up whether the rule is met before calling {tool}.",)
        case _:
            return (f"{_capital(_first(claim))}.", f"Then call {tool}.")


def _rationale(claim: Claim) -> str:
    tool = f"`{claim.tool}`"
    if claim.kind == "rule":
        return f"{tool} refused a call, and said why."
    if claim.kind == "excluded":
        return f"{tool} refused what {_joined(claim.tools)} had been called for before."
    return f"{tool} refused a call, and no longer did so when this was done."


def _with(claim: Claim) -> str:
    return f" with {_joined(claim.arguments)}" if claim.arguments and claim.kind != "before" else ""


def _joined(names: Iterable[str]) -> str:
    *others, last = (f"`{name}`" for name in names) if names else ("",)
    return f"{', '.join(others)} and {last}" if others else last


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
