"""What an error itself says of a value, an example, a limit or units, is what a tip says to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kaizen.sync.generate.offline import mine_tips
from kaizen.sync.generate.offline.claims import Claim, PastCall, past_calls
from kaizen.sync.generate.offline.templates import call_logs
from kaizen.sync.model import Message, ToolCall, Trajectory

# Argument, refused value, error, accepted value, what the tip says to do.
STATED: dict[str, tuple[str, Any, str, Any, str]] = {
    "like": (
        "tag",
        "r7",
        "Error: tag must look like v1.20.3, got 'r7'",
        "v0.7.0",
        "Write `tag` like v1.20.3",
    ),
    "such as": (
        "zone",
        "CET",
        "Error: zone must be an IANA name such as Europe/Paris",
        "America/New_York",
        "Write `zone` like Europe/Paris",
    ),
    "e.g.": (
        "repo",
        "kiwi",
        '{"error": "repo needs its owner (e.g. octo/hello)"}',
        "acme/kiwi",
        "Write `repo` like octo/hello",
    ),
    "for example": (
        "color",
        "red",
        "Error: color must be hexadecimal, for example #ff8800.",
        "#ff0000",
        "Write `color` like #ff8800",
    ),
    "example with a colon": (
        "slot",
        "9am",
        "ValueError: invalid slot '9am'. Example: 09:30-10:00",
        "09:00-09:30",
        "Write `slot` like 09:30-10:00",
    ),
    "format in letters": (
        "day",
        "5 March",
        "Error: day must be in the format YYYY-MM-DD",
        "2026-03-05",
        "Write `day` like YYYY-MM-DD",
    ),
    "expected": (
        "pair",
        "a b",
        "Error: expected 'key=value', got 'a b'",
        "a=b",
        "Write `pair` like key=value",
    ),
    "quoted, of two words": (
        "price",
        "5 euros",
        'Error: price should be written like "EUR 12.50"',
        "EUR 5.00",
        "Write `price` like EUR 12.50",
    ),
    "pattern": (
        "key",
        "Team A",
        "Error: key must match ^[a-z]+/[a-z-]+$",
        "team/a",
        "Write `key` to match `^[a-z]+/[a-z-]+$`",
    ),
    "not a beginning that ends inside a number": (
        "customer",
        "906",
        "Error: customer must be CUS- and six digits, such as CUS-004211, got '906'",
        "CUS-000906",
        "Write `customer` like CUS-004211",
    ),
    "not an end": (
        "start",
        "2026-08-10T13:00",
        "ValueError: start '2026-08-10T13:00' has no offset, write it like 2026-03-04T10:00:00+00:00",
        "2026-08-10T13:00:00+00:00",
        "Write `start` like 2026-03-04T10:00:00+00:00",
    ),
    "not the rule alone": (
        "language",
        "fr",
        "UnsupportedError: expected language and country like pt-BR, not 'fr'",
        "fr-FR",
        "Write `language` like pt-BR",
    ),
    "with a unit": ("wait", "90", "Error: wait needs a unit, such as 30s", "90s", "Write `wait` like 30s"),
    "most": ("limit", 500, "Error: limit must be at most 100, got 500", 100, "Pass at most 100 as `limit`"),
    "range": ("page", 0, "Error: page must be between 1 and 40", 3, "Pass at least 1 as `page`"),
    "most characters": (
        "title",
        "a very long title " * 5,
        "Error: title may have no more than 60 characters",
        "a title",
        "Pass at most 60 characters as `title`",
    ),
    "least digits": (
        "pin",
        "123",
        "Error: pin must have at least 6 digits",
        "123456",
        "Pass at least 6 digits as `pin`",
    ),
    "units": (
        "size",
        "20",
        "Error: size '20' has no unit, use G, T or P",
        "20G",
        "Write `size` with one of G, T, P at the end",
    ),
}


def corrected(name: str, *results: tuple[Any, str]) -> Trajectory:
    """A run that calls a tool with one argument after another."""
    messages = [Message(role="user", content="Do it.")]
    for number, (value, result) in enumerate(results):
        call = ToolCall(id=f"c{number}", name="send", arguments=json.dumps({name: value}))
        messages.append(Message(role="assistant", tool_calls=(call,)))
        messages.append(Message(role="tool", content=result, tool_call_id=call.id))
    return Trajectory(trace_id="t", messages=tuple(messages))


@pytest.mark.parametrize("case", STATED)
def test_what_the_error_says_of_the_value_is_what_to_do(case: str) -> None:
    name, refused, error, accepted, says = STATED[case]
    run = corrected(name, (refused, error), (accepted, "{}"))
    [tip] = mine_tips(run)
    assert tip.content.startswith(f"{says} when calling `send`: otherwise it refuses with")
    [log] = call_logs(run)
    assert Claim.of_json(tip.claim).check(past_calls(log)) in ("holds", "silent")


@pytest.mark.parametrize(
    ("refused", "error", "accepted"),
    [
        ("raj_7", "Error: no user like raj_7", "mei_8"),
        ("a", "Error: value must be like this one", "b-c"),
        ("12", "Error: value must be like 05JAN26", "12 March"),
        ("x", "Error: value should be like name@example.com", "mei@example.org"),
        (5, "Error: only 3 left, value is too high", 3),
    ],
)
def test_what_is_no_example_or_limit_is_not_taken_for_one(refused: Any, error: str, accepted: Any) -> None:
    tips = mine_tips(corrected("value", (refused, error), (accepted, "{}")))
    assert not any(tip.content.startswith(("Write `value` like", "Pass at")) for tip in tips)


def test_an_added_beginning_that_ends_inside_a_number_is_not_the_tools() -> None:
    for refused, accepted in (("906", "M-0906"), ("4711", "M-04711")):
        run = corrected("member", (refused, "Error: member is not valid"), (accepted, "{}"))
        assert not any("M-0`" in tip.content for tip in mine_tips(run))


def test_an_example_that_no_run_has_followed_says_so() -> None:
    [tip] = mine_tips(corrected("id", ("906", "Error: id must be like CUS-004211, got '906'")))
    assert tip.content == (
        "Write `id` like CUS-004211 when calling `send`: otherwise it refuses with "
        "\"id must be like CUS-004211, got '…'\". No run has shown it yet."
    )


def test_runs_that_differ_in_their_values_make_the_same_claim() -> None:
    error = "Error: id must be CUS- and six digits, such as CUS-004211, got '{}'"
    runs = [("906", "CUS-000906"), ("CUS-81", "CUS-000081"), ("12345", "CUS-012345")]
    claims = [mine_tips(corrected("id", (one, error.format(one)), (two, "{}")))[0].claim for one, two in runs]
    assert claims[0] == claims[1] == claims[2]


@pytest.mark.parametrize(
    ("how", "value", "is_refused", "verdict"),
    [
        ("at most 5 characters", "abcdef", True, "holds"),
        ("at most 5 characters", "abcdef", False, "broken"),
        ("at least 5 characters", "abcdef", False, "holds"),
        ("at most 5 characters", 7, False, "silent"),
        ("at least 400 characters", "a" * 300, False, "silent"),
    ],
)
def test_a_limit_is_checked_on_other_calls(how: str, value: Any, is_refused: bool, verdict: str) -> None:
    error = "no such text is allowed" if is_refused else None
    claim = Claim(
        kind="size",
        tool="send",
        error="no such text is allowed",
        arguments=("text",),
        how=how,
        pattern="a string",
    )
    assert claim.check([PastCall("send", {"text": value}, error, {})]) == verdict
