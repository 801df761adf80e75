"""Recognise words that forbid what follows: `never disable TLS` is good advice."""

from __future__ import annotations

from kaizen.sync.trust.normal import pattern

# What follows some negators turns them into an order: do not forget to, never hesitate to.
_NEGATORS = (
    r"(?:\b(?:never|not|cannot|nor|avoid|refuse to|refusing to|instead of|rather than|prohibits?|forbids?"
    r"|forbidden to|without|nicht|nie|niemals|ne|jamais|no|nunca|nao|non|mai|не|никогда)|n'?t\b"
    r"|不要|请勿|切勿|禁止)"
    r"(?! ?(?:\w{1,20} )?(?:hesitat|wait|worr|forget|bother|stop|delay|ask|fail|mind|only|just|need|have|care"
    r"|vergess|zoger|oublie|olvid|hesite))"
)
_ADVERBS = (
    r"(?: (?:ever|simply|blindly|try to|trying to|attempt to|be tempted to|under any circumstances|again|to"
    r"|you"
    r"|should|must|the user|the agent)){0,3}"
)
_LISTED = r"(?:,? ?(?:\w{1,20}(?: \w{1,20})?,? (?:or|nor|oder|ou|o) )){0,2}"
_DIRECTLY = rf"{_NEGATORS}{_ADVERBS} ?{_LISTED}['\"`*_ ]{{0,3}}$"
_EARLIER = (
    rf"(?:{_NEGATORS}|\b(?:fail|error|reject|denie|refuse|disallow|block|raise|return|answer|unable))"
    r"[^.:;!?,]{0,120}$"
)
_WINDOW = 160


def is_forbidden(text: str, start: int) -> bool:
    """Return whether the words right before `start` negate what begins there."""
    return pattern(_DIRECTLY).search(text, max(0, start - _WINDOW), start) is not None


def is_ruled_out(text: str, start: int) -> bool:
    """Return whether the clause before `start` forbids or reports a failure: `not ... without asking`."""
    return pattern(_EARLIER).search(text, max(0, start - _WINDOW), start) is not None
