"""Whether a model's wording keeps what a run proves: the rule in the tool's own words, and an action."""

from __future__ import annotations

import pytest

from kaizen.sync.generate.offline.claims import Claim
from kaizen.sync.generate.offline.saying import is_said, literals_of, names_action
from kaizen.sync.generate.offline.wording import content

DATE = Claim(kind="form", tool="book", arguments=("date",), how="like 05JAN26", error="invalid date: '…'")
CENTS = Claim(
    kind="unit",
    tool="refund",
    arguments=("amount",),
    how="multiply by 100",
    error="amount must be in cents, got …",
)
REASON = Claim(
    kind="listed",
    tool="close",
    arguments=("reason",),
    error="reason must be one of FIXED, DUPLICATE, got '…'",
)
DRAIN = Claim(kind="before", tool="restart", tools=("drain",), error="… has 86 active sessions")
LIMIT = Claim(kind="clause", tool="query", arguments=("sql",), how="LIMIT …", error="add LIMIT (at most 500)")
PLAN = Claim(
    kind="change",
    tool="set_plan",
    arguments=("id",),
    error="id must be CUS- and six digits, such as CUS-004211",
)
CODE = Claim(
    kind="form",
    tool="pay",
    arguments=("currency",),
    how="as a code of 3 capital letters",
    error="HTTP 400 Bad Request: unknown currency '…'",
)
ALL = (DATE, CENTS, REASON, DRAIN, LIMIT, PLAN, CODE)


@pytest.mark.parametrize("claim", ALL, ids=lambda claim: claim.tool)
def test_the_miners_own_words_say_what_it_claims(claim: Claim) -> None:
    assert is_said(claim, content(claim))


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        (DATE, "When calling `book`, give `date` as 05JAN26."),
        (CENTS, "Pass `amount` to `refund` in cents."),
        (CENTS, "Multiply `amount` by 100 before calling `refund`."),
        (REASON, "Set `reason` to FIXED or DUPLICATE when you call `close`."),
        (DRAIN, "Before calling `restart`, call `drain`."),
        (LIMIT, "End `sql` of `query` with LIMIT: add at most 500 rows."),
        (PLAN, "Write `id` like CUS-004211 for `set_plan`."),
        (CODE, "Pass `currency` to `pay` as a code of three capital letters."),
    ],
)
def test_other_words_that_keep_the_rule_are_taken(claim: Claim, text: str) -> None:
    assert is_said(claim, text)


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        (DATE, "Use the correct format of `date` when calling `book`."),
        (DATE, "Write `date` like 2026-01-05 when calling `book`."),
        (CENTS, "Check `amount` before calling `refund`."),
        (REASON, "Set `reason` to FIXED when you call `close`."),
        (REASON, "Choose a valid `reason` for `close`."),
        (DRAIN, "Check the sessions before calling `restart`."),
        (LIMIT, "Bound the `sql` that you pass to `query`."),
        (PLAN, "Validate `id` before calling `set_plan`."),
        (CODE, "Make sure that `currency` is known to `pay`."),
        (CODE, "Avoid HTTP 400 Bad Request of `pay` with a good `currency`."),
        (DATE, "`book` and its `date`: 05JAN26"),
        (DATE, "Date Format (05JAN26) for `book` `date`"),
    ],
)
def test_what_lost_the_rule_or_the_action_is_not(claim: Claim, text: str) -> None:
    assert not is_said(claim, text)


@pytest.mark.parametrize(
    ("rule", "literals"),
    [
        ("like 05JAN26", {"05JAN26"}),
        ("paths start with /srv/shared/", {"/srv/shared/"}),
        ("write it like 2026-03-04T10:00:00+00:00", {"2026-03-04T10:00:00+00:00"}),
        ("expected language and country like pt-BR, not '…'", {"pt-BR"}),
        ("HTTP 400 Bad Request: unknown currency '…'", set()),
        ("409 Conflict: project … is live", set()),
        ("separate tags by `|`", {"|"}),
    ],
)
def test_codes_examples_and_limits_stand_letter_by_letter(rule: str, literals: set[str]) -> None:
    assert literals_of(rule) == literals


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("Call `a` before `b`.", True),
        ("Before calling `b`, call `a`.", True),
        ("`date` must be like 05JAN26.", True),
        ("Always drain a node before it restarts.", True),
        ("Date Format Requirements", False),
        ("Correct usage of `book`", False),
        ("Use of the correct date format", False),
        ("Error handling for `close`: reason", False),
    ],
)
def test_a_title_names_no_action(text: str, does: bool) -> None:
    assert names_action(text) is does
