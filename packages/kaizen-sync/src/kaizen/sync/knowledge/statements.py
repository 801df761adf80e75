"""What a tip states, clause by clause: whether it affirms or denies, and in which case. English. Pure.

No grammar, only the turns of speech that tips are written in; what has none of them states something, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from kaizen.sync.knowledge.opposites import CHOICES, NEGATORS, VERDICTS
from kaizen.tips.text import COMMON, names, stemmed, tokens

# Tips are shorter. Looking for turns of speech takes time that grows with the square of the length.
_LONGEST = 2_000


def _turn(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_EXAMPLE = _turn(r"\s*\((?:e\.g\.|i\.e\.|for example|such as|like)[^()]*(?:\([^()]*\)[^()]*)*\)")
_NOT_IN_BRACKETS = _turn(r"\s\((not [^()]*(?:\(\))?)\)")
_NOT_ONLY = _turn(r",?\s*\bnot (?:just|only|merely|necessarily)\b[^,.;]*")
_NO_NEGATION = _turn(
    r"\b(?:(?:do not|don't|never) (?:forget|fail|hesitate) to|no (?:more|less|later|fewer) than"
    r"|whether or not)\b"
)
_ASKED = _turn(
    r"\b((?:check|verif|see|determin|confirm|know|decid|test|examin)\w*(?: first)?) (?:if|whether)\b"
)
_SCOPE = re.compile(r"\s*([^:.;]{3,160}):\s+(?=\S)")
_SENTENCES = re.compile(
    r"(?<=[.;!?])\s+|\n+|\s\(|(?<!\()\)|(?:^|\s)\d+[.)]\s|\s[-\N{EN DASH}\N{EM DASH}]\s|:\s"
)
_REASON = _turn(
    r",?\s*\b(?:(?:in order )?to (?:avoid|prevent|reduce|minimi[sz]e|ensure|improve)|because|since|so that"
    r"|as (?:this|these|it|they|(?:\w+ ){1,5}(?:may|is|are|can|will|has|have))|even though|although"
    r"|ensuring|avoiding|preventing|reducing)\b.*"
)
_SAYS_WHY = _turn(r"(?:this|these|that|it|such|otherwise)\b")
_LEADING_PURPOSE = _turn(r"\s*to [^,]*,")
_LEADING_CASE = _turn(
    r"\s*((?:if|when|whenever|where|while|once|for|in case|unless|until|without)\b[^,]*),\s*(?:then\s+)?(.+)"
)
_TRAILING_CASE = _turn(
    r"(.+?),?\s+((?:only (?:for|if|when|after|to)|if|when|whenever|unless|until|in case)\b.*)"
)
_INSTEAD = _turn(r"\s*(?:instead of|rather than)\s+([^,]*),\s*(.+)")
_RATHER = _turn(r"(?:^|,?\s+)(?:rather than|instead of|as opposed to|and not|but not)\s+|,\s*not\s+")
_PREFER = _turn(r"(.*\bprefer\b.+?)\s+over\s+(.+)")
_GERUND = _turn(r"\w+ing\b")
# What `them` may stand for: in a longer clause it is not clear.
_LONGEST_MEANT = 40
_PRONOUN = re.compile(r"\b(?:it|them)$")
_CLAUSES = _turn(r",\s+(?:and|but|so|then)\s+")
_CLAUSES_BESIDE_A_DENIAL = _turn(r",\s+(?:(?:and|but|so|then)\s+)?|\s+(?:but|and|that|by)\s+")
_ORDER = _turn(r"(.+?)\s+(before|after|prior to)\s+(.+)")
_LEADING_ORDER = _turn(r"\s*(before|after)\s+([^,]+),\s*(.+)")
_WITHOUT_FIRST = _turn(r"\b(?:never|not|don't)\b(.+?)\s+without (?:first )?(\w+ing\b.+)")
# Verbs for one thing, and words that tell nothing of what is stated.
_SAME_VERB = {"prefer": "us", "leverag": "us", "utiliz": "us", "rely": "us", "invok": "cal"}
_TELL_NOTHING = frozenset(
    map(stemmed, ("always", "directly", "verify", "verified", "note", "important", "first", "simply"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One clause: its telling words, those with an opposite by their positive one, and where they stand."""

    text: str
    words: frozenset[str]
    names: frozenset[str]
    verdicts: Mapping[str, int]
    choices: Mapping[str, int]
    denied: bool
    case: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """That one thing is to be done before another."""

    text: str
    first: frozenset[str]
    second: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """All that a tip states; `scope` is what it says of itself before its first colon."""

    scope: str
    statements: tuple[Statement, ...]
    orders: tuple[Order, ...]


@lru_cache(maxsize=4_096)
def stated(text: str) -> Stated:
    """What the text states."""
    text = _NOT_IN_BRACKETS.sub(r", \1,", _EXAMPLE.sub("", text[:_LONGEST]))
    text = _ASKED.sub(r"\1 that", _NO_NEGATION.sub("", _NOT_ONLY.sub("", text)))
    scope = ""
    if (found := _SCOPE.match(text)) and not _negations(found[1]):
        scope, text = found[1], text[found.end() :]
    statements: list[Statement] = []
    orders: list[Order] = []
    for number, sentence in enumerate(filter(None, map(str.strip, _SENTENCES.split(text)))):
        if number and _SAYS_WHY.match(sentence):
            continue
        for one in _of_sentence(sentence):
            if isinstance(one, Order):
                orders.append(one)
            elif one.words:
                statements.append(one)
    return Stated(scope=scope, statements=tuple(statements), orders=tuple(orders))


def statement(text: str, *, case: str = "", denied: bool = False) -> Statement:
    """The text as one statement, which `denied` turns round."""
    words: set[str] = set()
    verdicts: dict[str, int] = {}
    choices: dict[str, int] = {}
    found = tokens(text)
    for token in found:
        if token in COMMON or _negates(token):
            continue
        stem = stemmed(token)
        stem = _SAME_VERB.get(stem, stem)
        if stem in VERDICTS:
            stem, verdicts[stem] = VERDICTS[stem][0], VERDICTS[stem][1]
        elif stem in CHOICES:
            stem, choices[stem] = CHOICES[stem][0], CHOICES[stem][1]
        if stem not in _TELL_NOTHING or stem in choices:
            words.add(stem)
    return Statement(
        text=" ".join(text.split()).strip(" ,.;"),
        words=frozenset(words),
        names=names(text),
        verdicts=verdicts,
        choices=choices,
        denied=denied ^ bool(sum(map(_negates, found)) % 2),
        case=case,
    )


def _of_sentence(sentence: str) -> Iterator[Statement | Order]:
    sentence = _LEADING_PURPOSE.sub("", _REASON.sub("", sentence).rstrip(" .;!?"))
    if order := _order(sentence):
        yield order
        sentence = _main_clause(sentence)
    case = ""
    if found := _LEADING_CASE.fullmatch(sentence):
        case, sentence = found[1], found[2]
    if found := _TRAILING_CASE.fullmatch(sentence):
        sentence, case = found[1], f"{case} {found[2]}".strip()
    if found := _INSTEAD.fullmatch(sentence):
        yield statement(_completed(found[1], found[2]), case=case, denied=True)
        sentence = found[2]
    affirmed, denied = _parted(sentence)
    clauses = (_CLAUSES_BESIDE_A_DENIAL if _negations(affirmed) else _CLAUSES).split(affirmed)
    yield from (statement(clause, case=case) for clause in clauses)
    yield from (statement(_completed(other, affirmed), case=case, denied=True) for other in denied)


def _parted(sentence: str) -> tuple[str, list[str]]:
    """The sentence without what it names to say that it is not meant; that ends with its comma."""
    if found := _PREFER.fullmatch(sentence):
        return found[1], [found[2]]
    affirmed, *others = _RATHER.split(sentence)
    parts = [other.partition(",") for other in others]
    return affirmed + "".join(f",{after}" for _, _, after in parts if after), [part[0] for part in parts]


def _order(sentence: str) -> Order | None:
    if found := _WITHOUT_FIRST.search(sentence):
        return _ordered(sentence, found[2], found[1])
    if found := _LEADING_ORDER.fullmatch(sentence):
        word, other, main = found[1], found[2], found[3]
    elif found := _ORDER.fullmatch(sentence):
        main, word, other = found[1], found[2], found[3]
    else:
        return None
    if statement(main).verdicts:
        return None
    # Not to do one thing before another is to do the other before it.
    is_before = (word.casefold() in ("before", "prior to")) ^ bool(_negations(main) % 2)
    return _ordered(sentence, main, other) if is_before else _ordered(sentence, other, main)


def _ordered(sentence: str, first: str, second: str) -> Order | None:
    parts = statement(first).words, statement(second).words
    return Order(text=sentence.strip(), first=parts[0], second=parts[1]) if all(parts) else None


def _main_clause(sentence: str) -> str:
    """What is said besides the order; nothing where the order is all that is denied."""
    found = _LEADING_ORDER.fullmatch(sentence)
    main = found[3] if found else _ORDER.sub(r"\1", sentence)
    return "" if _negations(main) else main


def _completed(other: str, affirmed: str) -> str:
    """What is not meant, with the verb of what is, or with what that is about where it says `them`."""
    verb, _, rest = affirmed.strip().partition(" ")
    if not _GERUND.match(other):
        return f"{verb} {other}"
    return _PRONOUN.sub(rest, other) if len(rest) <= _LONGEST_MEANT else other


def _negations(text: str) -> int:
    return sum(map(_negates, tokens(text)))


def _negates(token: str) -> bool:
    return token in NEGATORS or token.endswith("n't")
