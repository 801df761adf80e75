"""Find orders that no tip may give its reader, in texts that are `normal`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from kaizen.sync.expressions import read_expressions
from kaizen.sync.trust.hidden import hidden_in_tip
from kaizen.sync.trust.negation import is_forbidden, is_ruled_out
from kaizen.sync.trust.normal import decoded, normal
from kaizen.sync.trust.scanning import excerpt, scanner

if TYPE_CHECKING:
    import re

FETCHES = "it tells to run or fetch something from elsewhere"
WEAKENS = "it tells to weaken a permission or a check"
CREDENTIALS = "it tells to reveal or use a credential"
OVERRIDES = "it tells to set instructions aside"
CONTACTS = "it names an address to contact"
PERMITS = "it adds a permission"
RECEIVES = "it adds a recipient"
SOURCES = "it adds a source of packages"


class Rule(NamedTuple):
    """An expression that finds an order, and a check whether the words before it make it harmless."""

    reason: str
    expression: str
    is_harmless: Callable[[re.Match[str]], bool] | None = None


@cache
def _rules() -> tuple[Rule, ...]:
    orders = read_expressions("trust/orders.toml")
    injection = read_expressions("trust/injection.toml")
    abroad = read_expressions("trust/languages.toml")
    effects = read_expressions("trust/effects.toml")
    groups: tuple[tuple[str, tuple[str, ...], Callable[[re.Match[str]], bool] | None], ...] = (
        (FETCHES, orders["fetching"], _is_forbidden),
        (WEAKENS, orders["weakening"] + abroad["weakening"] + effects["weakening"], _is_forbidden),
        # "without asking" negates by itself: only what comes before can make it harmless.
        (WEAKENS, orders["unasked"], _is_ruled_out),
        (CREDENTIALS, orders["revealing"] + abroad["revealing"] + effects["revealing"], _is_forbidden),
        (
            OVERRIDES,
            orders["setting_aside"] + injection["overriding"] + abroad["overriding"] + injection["secrecy"],
            _is_forbidden,
        ),
        # A tip has no business with the marks of chats, not even to warn of them.
        (OVERRIDES, injection["imitation"], None),
        (CONTACTS, orders["contacting"], _is_forbidden),
        (PERMITS, effects["permitting"], _is_forbidden),
        (RECEIVES, effects["receiving"], _is_forbidden),
        (SOURCES, effects["sourcing"], _is_forbidden),
    )
    return tuple(Rule(reason, one, harmless) for reason, listed, harmless in groups for one in listed)


def dangers(texts: Iterable[str]) -> list[str]:
    """Return why a tip with these texts is dangerous: one reason of each kind, with the words found."""
    texts = list(texts)
    found: dict[str, str] = {}
    if hidden := next(filter(None, map(hidden_in_tip, texts)), ""):
        found[hidden] = hidden
    whole = " ".join(texts)
    for text in (whole, *decoded(whole)):
        for reason, words in _orders(normal(text)):
            found.setdefault(reason, f"{reason}: '{words}'")
    return list(found.values())


def _orders(text: str) -> Iterator[tuple[str, str]]:
    rules = _rules()
    for number, match in scanner(tuple(rule.expression for rule in rules)).matches(text):
        rule = rules[number]
        if rule.is_harmless is None or not rule.is_harmless(match):
            yield rule.reason, excerpt(match)


def _is_forbidden(match: re.Match[str]) -> bool:
    return is_forbidden(match.string, match.start())


def _is_ruled_out(match: re.Match[str]) -> bool:
    return is_ruled_out(match.string, match.start(), match.end())
