"""What made the difference between a call that was refused and the later one that was not: claims."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from kaizen.sync.generate.offline.calls import is_name, is_read_only
from kaizen.sync.generate.offline.claims import JSON_TYPES, Claim, earlier, holds_value, single_values
from kaizen.sync.generate.offline.commands import argument_of, retries, rewritten, was_refused
from kaizen.sync.generate.offline.saying import is_said
from kaizen.sync.generate.offline.stated import example_for, form, speaks_of, stated
from kaizen.sync.generate.offline.templates import MASK, holds_word, listed_values, states_rule
from kaizen.sync.generate.offline.wording import content, word
from kaizen.sync.trajectory.json_text import as_text

if TYPE_CHECKING:
    from kaizen.sync.generate.offline.calls import Call
    from kaizen.sync.generate.offline.templates import CallLog
    from kaizen.tips.tip import Tip

# Traces are untrusted: whatever is in one, so much of it is compared and no more.
_FURTHEST = 30
_FURTHEST_COMMANDS = 1_000
_MOST = 100
_NEAR = 20
_LONGEST_TEXT = 2_000
_QUOTE_CHARS = 300
_LONGEST_FORM = 40
_MOST_ADDED = 4
_MOST_HELPERS = 2
_MOST_CHANGED = 4
_LIKENESS = 0.6
_ABOUT_VALUES = frozenset({"not found", "invalid argument", "not permitted"})
# Of units: of time, of percent, of bytes, of money in cents.
_FACTORS = (10, 24, 60, 100, 1_000, 1_024, 1_440, 3_600, 86_400, 1_000_000, 1_048_576, 1_000_000_000)
_PAGES = frozenset({"page", "page_number", "page_token", "cursor", "offset", "next_token", "start"})
_RUNS = re.compile(r"\d+|[A-Z]+|[a-z]+|[^0-9A-Za-z]+")
_MISSING = re.compile(r"(?:No module named|Cannot find module) ['\"]?([\w@/-]+)")
_INSTALL = re.compile(r"\b(?:install|add)\b")
_KEYWORD = re.compile(r"[A-Z]{2,12};?|--?[a-z][a-z-]{0,30}")
_CODE = re.compile(r"(?=.*\d)#?\w[\w-]{1,20}")
_TOKENS = re.compile(r"\w+|[^\w\s]")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,15}:(?://)?")
_STEM_CHARS = 4
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """The last refused call of a tool with one error before it succeeded, and all calls in between."""

    failed: Call
    succeeded: Call
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    between: Sequence[Call]
    error: str

    @property
    def changed(self) -> tuple[str, ...]:
        """Return the names of the arguments that both calls have, with other values, in order."""
        both = self.before.keys() & self.after.keys()
        return tuple(sorted(n for n in both if self.before[n] != self.after[n] and is_name(n)))

    @property
    def added(self) -> tuple[str, ...]:
        return tuple(sorted(filter(is_name, self.after.keys() - self.before.keys())))

    @property
    def removed(self) -> tuple[str, ...]:
        return tuple(sorted(filter(is_name, self.before.keys() - self.after.keys())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A claim, the refused call that it is about, and the call that kept to it, if there was one.

    `first_step` is the number of the first message of their conversation.
    """

    claim: Claim
    failed: Call
    succeeded: Call | None = None
    first_step: int = 1

    @property
    def step(self) -> int:
        """The number of the message with the refused call."""
        return self.first_step + self.failed.position

    @property
    def tip(self) -> Tip:
        line = self.failed.failure.line if self.failed.failure else self.failed.quote
        return word(self.claim, quote=line[:_QUOTE_CHARS].strip())

    @property
    def fact(self) -> str:
        """Return what a model is told of it."""
        told = (
            f'Step {self.step} calls {self.failed.quote[:_QUOTE_CHARS]}: refused with "{self.claim.error}".'
        )
        if self.succeeded:
            step = self.first_step + self.succeeded.position
            told += f" Step {step} calls {self.succeeded.quote[:_QUOTE_CHARS]}: not refused."
        return f"{told} So: {content(self.claim)}"

    def is_about(self, tip: Tip) -> bool:
        """Return whether a tip is about the same refused call, as far as its steps tell."""
        return holds_word(tip.content, self.claim.tool) and not {self.step, self.step + 1}.isdisjoint(
            tip.steps
        )

    def is_said_by(self, tip: Tip) -> bool:
        """Return whether a tip says what the claim says, in its content: not all readers get its steps."""
        return is_said(self.claim, tip.content)


def find_claims(log: CallLog) -> Iterator[Finding]:
    """Yield what the calls of a conversation show, for each error what says most about it."""
    for recovery in recoveries(log):
        detectors = (by_helpers, by_rewriting, by_arguments, by_source, by_user, by_change)
        claim = next(filter(None, (find(log, recovery) for find in detectors)), None)
        if claim:
            yield Finding(claim=claim, failed=recovery.failed, succeeded=recovery.succeeded)
    yield from find_alternatives(log)
    yield from find_commands(log)
    yield from find_modules(log)
    yield from find_rules(log)


def recoveries(log: CallLog) -> Iterator[Recovery]:
    """Yield each refused call whose tool succeeded soon after, one for each error that it gave until then."""
    return islice(_recoveries(log), _MOST)


def _recoveries(log: CallLog) -> Iterator[Recovery]:
    failing: defaultdict[str, dict[str, Call]] = defaultdict(dict)
    for call in log.calls:
        if call.arguments is None:
            continue
        if call.failure and not call.failure.is_passing and (error := log.error(call)):
            failing[call.tool][error] = call
        elif call.succeeded:
            for error, failed in failing.pop(call.tool, {}).items():
                # Calls of one turn were made without knowing how the others ended.
                is_retry = failed.position < call.position and call.number - failed.number <= _FURTHEST
                if failed.arguments is not None and is_retry and _is_alike(failed, call):
                    yield Recovery(
                        failed=failed,
                        succeeded=call,
                        before=failed.arguments,
                        after=call.arguments,
                        between=log.calls[failed.number + 1 : call.number],
                        error=error,
                    )


def _is_alike(failed: Call, call: Call) -> bool:
    """Return whether a later program is the earlier one, corrected; other calls are told apart elsewhere."""
    if not failed.is_program:
        return True
    one, other = (_TOKENS.findall(text.spelling[:_LONGEST_TEXT]) for text in (failed, call))
    common = len(set(one) & set(other))
    return common >= _LIKENESS * max(len(set(one)), len(set(other)))


def _claim(recovery: Recovery, **says: Any) -> Claim:
    return Claim(tool=recovery.failed.tool, error=recovery.error, **says)


def by_helpers(_: CallLog, recovery: Recovery) -> Claim | None:
    """Other tools were called in between: those that the error names, or all if the call stayed the same."""
    helpers = [call for call in recovery.between if call.succeeded and call.tool != recovery.failed.tool]
    names = list(dict.fromkeys(call.tool for call in helpers))
    named = [name for name in names if holds_word(recovery.error, name) or _is_meant(name, recovery)]
    is_same = recovery.before == recovery.after
    chosen = named or (names if is_same else [])
    if not chosen or len(chosen) > _MOST_HELPERS:
        return None
    pages = _pages(chosen[0], helpers) if len(chosen) == 1 else ()
    return _claim(recovery, kind="before", tools=tuple(chosen), arguments=pages)


def _is_meant(tool: str, recovery: Recovery) -> bool:
    """Return whether an error speaks of what another tool does: "drain it first" of `drain_node`."""
    own = set(_stems(recovery.failed.tool))
    stems = [stem for stem in _stems(tool)[:1] if stem not in own]
    return not is_read_only(tool) and any(stem in _stems(recovery.error) for stem in stems)


def _stems(text: str) -> list[str]:
    found = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text)
    return [word.casefold()[: _STEM_CHARS + 1] for word in found if len(word) >= _STEM_CHARS]


def _pages(tool: str, helpers: Sequence[Call]) -> tuple[str, ...]:
    """Return the argument by which a tool was read page by page, if it was."""
    mine = [call.arguments or {} for call in helpers if call.tool == tool]
    return tuple(sorted(name for name in _PAGES if any(name in arguments for arguments in mine)))[:1]


def by_rewriting(log: CallLog, recovery: Recovery) -> Claim | None:
    """One argument was written another way, or is now one of those that the error lists."""
    changed = recovery.changed
    mentioned = [name for name in changed if speaks_of(recovery.error, name)]
    if not mentioned and any(speaks_of(recovery.error, name) for name in recovery.added):
        return None
    for name in mentioned or (changed if len(changed) == 1 else ()):
        before, after = recovery.before[name], recovery.after[name]
        listed = listed_values(recovery.error)
        if after in listed and before not in listed:
            return _claim(recovery, kind="listed", arguments=(name,))
        found = rewrite(before, after, recovery.error)
        # How long a program is, is no rule of the tool that runs it.
        if found and not (found["kind"] == "size" and recovery.failed.is_program):
            return _claim(recovery, arguments=(name,), **found)
    return None


def by_arguments(log: CallLog, recovery: Recovery) -> Claim | None:
    """Arguments were left out at first, or should have been, or had another name."""
    added, removed = recovery.added, recovery.removed
    if not added + removed or len(added + removed) > _MOST_CHANGED:
        return None
    if named := tuple(name for name in added if speaks_of(recovery.error, name)):
        added, removed = named, ()
    elif recovery.changed:
        return None
    if len(added) == 1 and (giver := _giver(log, recovery, added[0])):
        return _claim(recovery, kind="source", arguments=added, tools=(giver,))
    if added and removed:
        values = [recovery.after[name] for name in added], [recovery.before[name] for name in removed]
        is_renamed = len(added) == len(removed) == 1 and values[0] == values[1]
        how = f"instead of `{removed[0]}`"
        return _claim(recovery, kind="pass", arguments=added, how=how) if is_renamed else None
    how = "pass" if added else "leave out"
    if len(added) == 1 and isinstance(switch := recovery.after[added[0]], bool):
        how = f"pass {str(switch).lower()} as"
    return _claim(recovery, kind="pass", arguments=added or removed, how=how)


def by_source(log: CallLog, recovery: Recovery) -> Claim | None:
    """The accepted value was in the result of a tool that the refused one was in no result of."""
    if not _is_about_values(recovery):
        return None
    sources = {name: giver for name in recovery.changed if (giver := _giver(log, recovery, name))}
    if len(sources) != 1:
        return None
    ((name, giver),) = sources.items()
    return _claim(recovery, kind="source", arguments=(name,), tools=(giver,))


def _is_about_values(recovery: Recovery) -> bool:
    """Return whether the error can be about the values that were changed, a few of them."""
    failure, failed = recovery.failed.failure, recovery.failed
    if failure is None or failed.is_program or recovery.added or recovery.removed:
        return False
    # An error of no known kind that states a rule is about the rule.
    is_about = failure.kind in _ABOUT_VALUES or (failure.kind == "error" and not states_rule(recovery.error))
    return is_about and 0 < len(recovery.changed) <= _MOST_CHANGED


def _giver(log: CallLog, recovery: Recovery, name: str) -> str:
    """Return the look-up whose result had the new values of an argument, and none before had the old ones."""
    old, new = set(single_values(recovery.before.get(name))), set(single_values(recovery.after[name]))
    changed, gone = new - old, old - new
    if not changed:
        return ""
    failed, succeeded = recovery.failed.number, recovery.succeeded.number
    offered = {call.tool for call in islice(earlier(log.calls, failed), _NEAR) if holds_value(call, gone)}
    for call in islice(earlier(log.calls, succeeded), _NEAR):
        is_other = call.tool not in offered and call.tool != recovery.failed.tool
        # What a call that changes things returned is meant for this one only if it was made for it.
        is_giver = is_read_only(call.tool) or (call.number > failed and _are_new(changed, log, recovery))
        if is_other and is_giver and holds_value(call, changed):
            return call.tool
    return ""


def _are_new(values: set[str], log: CallLog, recovery: Recovery) -> bool:
    """Return whether values look like ids, and nobody had named them before the refused call."""
    said = log.said_before(recovery.failed)
    return all(re.search(r"\d", value) and value not in said for value in values)


def by_user(log: CallLog, recovery: Recovery) -> Claim | None:
    """The user corrected what they had said, right after it was refused."""
    if not _is_about_values(recovery) or any(call.succeeded for call in recovery.between):
        return None
    between = log.messages[recovery.failed.position : recovery.succeeded.position]
    said = "\n".join(message.content for message in between if message.role == "user")
    new = [text for name in recovery.changed for text in single_values(recovery.after[name])]
    if not said or not new or not all(text in said for text in new):
        return None
    return _claim(recovery, kind="ask", arguments=recovery.changed)


def by_change(_: CallLog, recovery: Recovery) -> Claim | None:
    """The error states its rule, and other arguments kept to it."""
    names = recovery.changed + recovery.added + recovery.removed
    if not names or not states_rule(recovery.error) or recovery.failed.is_program:
        return None
    mentioned = tuple(name for name in names if speaks_of(recovery.error, name))
    return _claim(recovery, kind="change", arguments=(mentioned or names)[:_MOST_CHANGED])


def find_alternatives(log: CallLog) -> Iterator[Finding]:
    """Yield calls that failed for good, and the other tool that succeeded soon after in their place.

    The error names it, or both look up the same thing.
    """
    last_success = {call.tool: call.number for call in log.calls if call.succeeded}
    for call in log.calls:
        if not call.failure or call.failure.is_passing or last_success.get(call.tool, -1) > call.number:
            continue
        error = log.error(call)
        following = log.calls[call.number + 1 : call.number + 1 + _FURTHEST]
        succeeded = (one for one in following if one.succeeded and one.tool != call.tool)
        other = next((one for one in succeeded if _takes_its_place(call, one, error)), None)
        if other and error:
            claim = Claim(kind="instead", tool=call.tool, error=error, tools=(other.tool,))
            yield Finding(claim=claim, failed=call, succeeded=other)


def _takes_its_place(call: Call, other: Call, error: str) -> bool:
    return holds_word(error, other.tool) or (is_read_only(call.tool) and _looks_up_the_same(call, other))


def _looks_up_the_same(call: Call, other: Call) -> bool:
    """Return whether two look-ups have the same words before `by`: find_user_by_email, find_user_by_name."""
    same, _, how = call.tool.partition("_by_")
    return bool(how) and call.tool != other.tool and other.tool.startswith(f"{same}_by_")


def find_commands(log: CallLog) -> Iterator[Finding]:
    """Yield that a command was refused, and one that begins otherwise was not."""
    for call in log.calls[:_FURTHEST_COMMANDS]:
        name = argument_of(call)
        if not (name and was_refused(call) and (error := log.error(call))):
            continue
        for other in islice(retries(log.calls, call.number), _FURTHEST):
            found = rewritten(_command(call, name), _command(other, name))
            if found:
                claim = Claim(
                    kind="command",
                    tool=call.tool,
                    error=error,
                    arguments=(name,),
                    pattern=found[0],
                    how=found[1],
                )
                yield Finding(claim=claim, failed=call, succeeded=other)
                break


def _command(call: Call, name: str) -> str:
    return str((call.arguments or {}).get(name, ""))


def find_modules(log: CallLog) -> Iterator[Finding]:
    """Yield that two or more modules were found missing one at a time, and installed."""
    missing: defaultdict[str, dict[str, Call]] = defaultdict(dict)
    for call in log.calls:
        known = missing[call.tool]
        if call.failure and (found := _MISSING.search(call.failure.line)):
            known.setdefault(found[1], call)
        elif call.succeeded and len(known) > 1 and _INSTALL.search(call.quote[:_LONGEST_TEXT]):
            claim = Claim(kind="install", tool=call.tool, error="No module named …")
            yield Finding(claim=claim, failed=[*known.values()][-1], succeeded=call)
            known.clear()


def find_rules(log: CallLog) -> Iterator[Finding]:
    """Yield the errors that state their rule, whether or not the run kept to it later."""
    found: set[tuple[str, str]] = set()
    for call in log.calls:
        if call.failure and not call.failure.is_passing and not call.is_program:
            error = log.error(call)
            if error and states_rule(error) and (call.tool, error) not in found:
                found.add((call.tool, error))
                name, how = example_for(call.arguments or {}, error)
                about = (name,) if name else ()
                claim = Claim(kind="rule", tool=call.tool, error=error, arguments=about, how=how)
                yield Finding(claim=claim, failed=call)


def rewrite(before: Any, after: Any, error: str = "") -> dict[str, str]:
    """Return how to write what was written as `before`, as fields of a claim; empty for another value."""
    if isinstance(before, list) and isinstance(after, list):
        return _shortened(before, after, error)
    if all(_number(value) is not None for value in (before, after)) and (how := _rescaled(before, after)):
        return {"kind": "unit", "how": how}
    if found := stated(before, after, error):
        return found
    if type(before) is not type(after):
        return _as_other_type(before, after, error)
    if isinstance(before, str) and isinstance(after, str):
        return _reworded(before.strip()[:_LONGEST_TEXT], after.strip()[:_LONGEST_TEXT], error)
    return {}


def _as_other_type(before: Any, after: Any, error: str) -> dict[str, str]:
    kind = JSON_TYPES.get(type(after), "")
    if kind and _plain(before) == _plain(after) and _plain(after):
        return {"kind": "form", "how": f"as {kind}", "pattern": kind}
    if _is_number(before) and isinstance(after, str):
        return _reworded(as_text(before), after.strip()[:_LONGEST_TEXT], error)
    if isinstance(before, str) and _is_number(after) and (unit := _unix_time(before, after)):
        return {"kind": "form", "how": f"as Unix time in {unit}", "pattern": r"^\d+$"}
    return {}


def _unix_time(before: str, after: float) -> str:
    """Return the unit of a Unix time that is the same instant as a date, give or take a day."""
    try:
        instant = datetime.fromisoformat(before.strip())
    except ValueError:
        return ""
    seconds = instant.replace(tzinfo=instant.tzinfo or UTC).timestamp()
    units = (("seconds", 1), ("milliseconds", 1_000))
    return next((unit for unit, factor in units if abs(after / factor - seconds) <= _DAY_S), "")


def _shortened(before: list[Any], after: list[Any], error: str) -> dict[str, str]:
    """Return how many entries a list may have, if it lost some and the error gives such a number."""
    if not 0 < len(after) < len(before) or any(value not in before for value in after):
        return {}
    said = (int(number) for number in re.findall(r"(?<![\w.])\d{1,4}(?![\w.])", error))
    most = next((number for number in said if len(after) <= number < len(before)), None)
    return {"kind": "size", "how": str(most)} if most else {}


def _reworded(before: str, after: str, error: str) -> dict[str, str]:
    if not before or not after or before == after:
        return {}
    ways = (_letters, _padded, _separators, _slug, _order)
    found = next(filter(None, (find(before, after) for find in ways)), None)
    # A short code is best shown whole; of a longer value, what stands before or behind it.
    forms = (_form, _ends, _around) if _CODE.fullmatch(after) else (_ends, _around, _form)
    found = found or next(filter(None, (find(before, after, error) for find in forms)), None)
    if found:
        return {"kind": "form", "how": found[0], "pattern": found[1]}
    return _clause(before, after, error)


def _padded(before: str, after: str) -> tuple[str, str] | None:
    if after.isdigit() and before.isdigit() and after != before and after.lstrip("0") == before.lstrip("0"):
        return f"padded with zeros to {len(after)} digits", rf"^\d{{{len(after)}}}$"
    return None


def _slug(before: str, after: str) -> tuple[str, str] | None:
    """Return the case and the separator of a name that was rewritten: `My Bucket`, `my-bucket`."""
    these, those = (re.findall(r"[^\W_]+", text) for text in (before, after))
    between = set(re.split(r"[^\W_]+", after)[1:-1])
    if [word.casefold() for word in these] != [word.casefold() for word in those] or len(those) < 2:
        return None
    case = "small" if after.islower() else "capital" if after.isupper() else ""
    if not case or len(between) != 1 or "".join(these) == "".join(those):
        return None
    [separator] = between
    pattern = r"^[^A-Z\s]+$" if case == "small" else r"^[^a-z\s]+$"
    return f"in {case} letters with `{separator}` between its words", pattern


def _letters(before: str, after: str) -> tuple[str, str] | None:
    if before.casefold() == after.casefold():
        if after.isupper():
            return "in capital letters", r"^[^a-z]+$"
        return ("in small letters", r"^[^A-Z]+$") if after.islower() else None
    if re.fullmatch(r"[A-Z]{2,4}", after) and not re.fullmatch(r"[A-Z]{2,4}", before):
        return f"as a code of {len(after)} capital letters", rf"^[A-Z]{{{len(after)}}}$"
    if re.fullmatch(r"[a-z]{2,3}", after) and re.fullmatch(r"[A-Za-z ]{4,}", before):
        return f"as a code of {len(after)} small letters", rf"^[a-z]{{{len(after)}}}$"
    return None


def _ends(before: str, after: str, error: str) -> tuple[str, str] | None:
    """Return a beginning or an end that was added or taken away, if it is the tool's and not the run's."""
    for one, other, how in ((after, before, "with"), (before, after, "without")):
        if not other or one == other:
            continue
        if one.endswith(other) and _is_whole(part := one[: -len(other)], other, error):
            pattern = rf"^{re.escape(part)}" if how == "with" else rf"^(?!{re.escape(part)})"
            return f"{how} `{part}` in front", pattern
        if one.startswith(other) and _is_whole(part := one[len(other) :], other, error, is_end=True):
            pattern = rf"{re.escape(part)}$" if how == "with" else rf"(?<!{re.escape(part)})$"
            return f"{how} `{part}` at the end", pattern
    if after.startswith("/") and not before.startswith("/") and after.endswith(before):
        return "as an absolute path, from `/`", "^/"
    return None


def _around(before: str, after: str, error: str) -> tuple[str, str] | None:
    """Return what was put around a value: `PT…M` around 90."""
    start = after.find(before)
    if start <= 0 or start + len(before) == len(after):
        return None
    first, last = after[:start], after[start + len(before) :]
    if not (_is_tools(first, error) and _is_tools(last, error)):
        return None
    return f"like `{first}{MASK}{last}`", rf"^{re.escape(first)}.*{re.escape(last)}$"


def _is_whole(part: str, rest: str, error: str, *, is_end: bool = False) -> bool:
    """Return whether a part may stand in a tip, and does not end inside a number or a word of the run's."""
    inner, outer = (part[0], rest[-1]) if is_end else (part[-1], rest[0])
    is_inside = (inner.isdigit() and outer.isdigit()) or (inner.isalpha() and outer.isalpha())
    return _is_tools(part, error) and (not is_inside or holds_word(error, part))


def _is_tools(part: str, error: str) -> bool:
    """Return whether a part of a value may stand in a tip: punctuation, a code, or what the error says."""
    if "`" in part or " " in part.strip():
        return False
    if _SCHEME.fullmatch(part):
        return True
    return (not re.search(r"\w", part) or part in error or len(part) <= 3) and len(part) <= _LONGEST_FORM


def _separators(before: str, after: str) -> tuple[str, str] | None:
    """Return the one separator that stands between the same words as before."""
    these, those = re.findall(r"\w+", before), re.findall(r"\w+", after)
    if these != those or len(these) < 2:
        return None
    between = {part.strip() or part for part in re.split(r"\w+", after)[1:-1]}
    formerly = {part.strip() or part for part in re.split(r"\w+", before)[1:-1]}
    if len(between) != 1 or between == formerly:
        return None
    [separator] = between
    named = "spaces" if separator == " " else f"`{separator}`"
    refused = "".join(re.escape(part) for part in sorted(formerly - between))
    return f"with {named} between its parts", rf"^[^{refused}]*$" if refused else re.escape(separator)


def _order(before: str, after: str) -> tuple[str, str] | None:
    """Return that the words of a value are the other way round, with what stands between them."""
    these, those = (re.findall(r"\w+", text.casefold()) for text in (before, after))
    separators = {part.strip() for part in re.split(r"\w+", after)[1:-1]}
    if len(these) < 2 or these != those[::-1] or these == those or len(separators) != 1 or separators == {""}:
        return None
    [separator] = separators
    return f"with its parts in reverse order and `{separator}` between them", re.escape(separator)


def _form(before: str, after: str, error: str) -> tuple[str, str] | None:
    """Return an example of the form, if the same was said in another one."""
    if "@" in after or len(after) > _LONGEST_FORM or not re.search(r"\d", after) or "`" in after:
        return None
    pattern = form(after)
    if pattern == form(before) or not _is_same_in_another_form(before, after):
        return None
    shown = next((said for said in _words(error) if re.fullmatch(pattern, said)), "")
    return f"like {shown or example(after)}", f"^{pattern}$"


def _words(error: str) -> Iterator[str]:
    """Yield the words of an error, and each two of them, without the punctuation around them."""
    words = error.split()
    for size in (1, 2):
        for start in range(len(words) - size + 1):
            yield " ".join(words[start : start + size]).strip("'\"`.,;:()[]")


def example(value: str) -> str:
    """Return another value of the same form: #W1234567 for #W4680753, 2026-01-05 for any such day."""
    if re.fullmatch(r"\d{4}\D\d{2}\D\d{2}.*", value):
        day = f"2026{value[4]}01{value[7]}05"
        return day + re.sub(r"\d", "0", value[10:])
    if re.fullmatch(r"\d{2}\D\d{2}\D\d{4}", value):
        return f"05{value[2]}01{value[5]}2026"
    if re.fullmatch(r"\d{2}[A-Z]{3}\d{2}", value):
        return "05JAN26"
    digits = iter("1234567890" * _LONGEST_FORM)
    letters = iter("abcdefgh" * _LONGEST_FORM)

    def other(part: str) -> str:
        # Two letters are a code; more may be somebody's name.
        if not part.isalnum() or (part.isalpha() and len(part) <= 2):
            return part
        made = "".join(next(digits) if char.isdigit() else next(letters) for char in part)
        return made.upper() if part.isupper() else made

    return "".join(map(other, _RUNS.findall(value)))


def _is_same_in_another_form(before: str, after: str) -> bool:
    """Return whether both hold the same letters and digits, but for a few, or the same day."""
    shorter, longer = sorted((_plain(before), _plain(after)), key=len)
    if len(longer) - len(shorter) < min(_MOST_ADDED, len(shorter)) and shorter in longer:
        return True
    numbers = [set(_numbers(text)) for text in (before, after)]
    smaller = min(numbers, key=len)
    return len(smaller) >= 2 and smaller <= max(numbers, key=len)


def _numbers(text: str) -> list[str]:
    # A year may be written in full or by its last digits.
    return [number[-2:].lstrip("0") for number in re.findall(r"\d+", text)]


def _clause(before: str, after: str, error: str) -> dict[str, str]:
    """Return the words that free text gained, all else being the same, as the tool would say them."""
    these, those = before.split(), after.split()
    added, position = list[str](), 0
    for token in those:
        if position < len(these) and token.strip(";") == these[position].strip(";"):
            position += 1
        else:
            added.append(token)
    if position < len(these) or not 0 < len(added) <= _MOST_ADDED:
        return {}
    known = {said.casefold() for said in _words(error)}
    # A keyword, an option, or what the error says; other words are the run's.
    shown = [w if _KEYWORD.fullmatch(w) or w.casefold().strip(";") in known else MASK for w in added]
    is_said = any(token.casefold().strip(";") in known for token in added) or states_rule(error)
    if not is_said or all(token == MASK for token in shown):
        return {}
    first = next(token for token in shown if token != MASK).strip(";")
    how = re.sub(rf"{MASK}(?: {MASK})+", MASK, " ".join(shown)).rstrip(";")
    return {"kind": "clause", "how": how, "pattern": rf"(?i)(?<!\w){re.escape(first)}(?!\w)"}


def _plain(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return re.sub(r"[\W_]+", "", str(value)).casefold()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> float | None:
    """Return a number, also one that is written as a text."""
    is_text = isinstance(value, str) and re.fullmatch(r"-?\d{1,15}(?:\.\d{1,9})?", value.strip())
    return float(value) if is_text or _is_number(value) else None


def _rescaled(before: Any, after: Any) -> str:
    one, other = _number(before), _number(after)
    return _scaled(one, other) if one is not None and other is not None else ""


def _scaled(before: float, after: float) -> str:
    """Return what to do with the value so that it is accepted; empty if it is no change of unit."""
    try:
        factor = before / after
    except (ZeroDivisionError, OverflowError):
        return ""
    for known in _FACTORS:
        if math.isclose(factor, known, rel_tol=1e-6):
            return f"divide by {known}"
        if math.isclose(factor, 1 / known, rel_tol=1e-6):
            return f"multiply by {known}"
    return ""
