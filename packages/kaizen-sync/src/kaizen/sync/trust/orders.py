"""Find orders that no tip may give its reader, in texts that are `normal`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import NamedTuple

from kaizen.sync.expressions import read_expressions
from kaizen.sync.trust.hidden import hidden_in_tip
from kaizen.sync.trust.normal import decoded, normal, pattern
from kaizen.sync.trust.scanning import excerpt, scanner

FETCHES = "it tells to run or fetch something from elsewhere"
WEAKENS = "it tells to weaken a permission or a check"
CREDENTIALS = "it tells to reveal or use a credential"
OVERRIDES = "it tells to set instructions aside"
CONTACTS = "it names an address to contact"


# Looking further back would cost more than it finds: a negation stands close to what it negates.
_WINDOW = 160


class Rule(NamedTuple):
    """An expression that finds an order, and a check whether the words before it make it harmless."""

    reason: str
    expression: str
    is_harmless: Callable[[str, int], bool] | None = None


@cache
def _rules() -> tuple[Rule, ...]:
    orders = read_expressions("trust/orders.toml")
    injection = read_expressions("trust/injection.toml")
    abroad = read_expressions("trust/languages.toml")
    groups: tuple[tuple[str, tuple[str, ...], Callable[[str, int], bool] | None], ...] = (
        (FETCHES, orders["fetching"], is_forbidden),
        (WEAKENS, orders["weakening"] + abroad["weakening"], is_forbidden),
        # "without asking" negates by itself: only what comes before can make it harmless.
        (WEAKENS, orders["unasked"], is_ruled_out),
        (CREDENTIALS, orders["revealing"] + abroad["revealing"], is_forbidden),
        (
            OVERRIDES,
            orders["setting_aside"] + injection["overriding"] + abroad["overriding"] + injection["secrecy"],
            is_forbidden,
        ),
        # A tip has no business with the marks of chats, not even to warn of them.
        (OVERRIDES, injection["imitation"], None),
        (CONTACTS, orders["contacting"], is_forbidden),
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
        if rule.is_harmless is None or not rule.is_harmless(text, match.start()):
            yield rule.reason, excerpt(match)


def is_forbidden(text: str, start: int) -> bool:
    """Return whether the words right before `start` negate what begins there: `never disable TLS`."""
    return _ends_with("directly", text, start)


def is_ruled_out(text: str, start: int) -> bool:
    """Return whether the clause before `start` forbids or reports a failure: `not ... without asking`."""
    return _ends_with("earlier", text, start)


def _ends_with(name: str, text: str, start: int) -> bool:
    [expression] = read_expressions("trust/negation.toml")[name]
    return pattern(expression).search(text, max(0, start - _WINDOW), start) is not None
