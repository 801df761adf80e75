"""What the words of two tips show: the same, opposites, or that it is not clear."""

from __future__ import annotations

import pytest

from kaizen.sync.knowledge.opposites import compare_statements, decide_by_words
from kaizen.sync.knowledge.similarity import BY_WORDS, WITH_MEANING, Thresholds

RETRY = "Retry failed payments before reporting."
NEVER_RETRY = "Never retry failed payments before reporting."

OPPOSITE = [
    (RETRY, NEVER_RETRY),
    ("show_orders() returns the total.", "show_orders() does not return the total."),
    ("The orders endpoint returns cancelled orders.", "The orders endpoint doesn't return cancelled orders."),
    ("Always ask for the order id first.", "Never ask for the order id."),
    ("Dates are inclusive in get_bookings().", "Dates are exclusive in get_bookings()."),
    ("update_user() accepts partial objects.", "update_user() rejects partial objects."),
    ("It is safe to call delete_alarm() twice.", "It is not safe to call delete_alarm() twice."),
    ("Gift cards can be refunded. Ask for the card.", "Ask for the card. Gift cards cannot be refunded."),
    ("Send e-mails to the guests automatically.", "Avoid sending e-mails to the guests automatically."),
]
UNCLEAR = [
    ("Use the newest entry of the list.", "Use the oldest entry of the list."),
    ("Close the file after writing to it.", "Close the file before writing to it."),
    ("The amount is in dollars and must be positive.", "The amount must not be positive."),
]
DIFFERENT = [
    ("Wait 5 seconds between attempts.", "Wait 30 seconds between attempts."),
    ("Retry a failed payment 2 times.", "Retry a failed payment 5 times."),
]
SAME = [
    ("The total excludes taxes.", "The total does not include taxes."),
    ("The page_limit argument is not required.", "The page_limit argument is optional."),
    ("Do not forget to close the session.", "Close the session."),
    ("Fetch all pages, not just the first one.", "Fetch all pages of the results."),
    ("Never call search_songs() without a token.", "Call search_songs() with a token."),
    ("Avoid exhaustive rescans of the library.", "Never rescan the library exhaustively."),
    ("Translate city names into English.", "Never retry failed payments."),
    ("Wait 5 seconds between attempts.", "Wait 5 seconds between attempts to log in."),
]


@pytest.mark.parametrize(
    ("one", "other", "relation"),
    [
        (*pair, relation)
        for relation, pairs in (
            ("opposite", OPPOSITE),
            ("unclear", UNCLEAR),
            ("different", DIFFERENT),
            ("same", SAME),
        )
        for pair in pairs
    ],
)
def test_two_statements_are_compared_by_their_words(one: str, other: str, relation: str) -> None:
    assert compare_statements(one, other).relation == relation
    assert compare_statements(other, one).relation == relation


def test_the_sentences_that_show_an_opposite_are_named() -> None:
    reason = compare_statements(f"{RETRY} Ask the user.", f"Ask the user. {NEVER_RETRY}").reason

    assert reason == f"'{RETRY.rstrip('.')}' against '{NEVER_RETRY}'"


@pytest.mark.parametrize(
    "text", ["", "never", ":", "not not not", "(" * 5_000, "if. " * 5_000, "a, not " * 5_000]
)
def test_any_text_is_the_same_as_itself_in_little_time(text: str) -> None:
    assert compare_statements(text, text).relation == "same"


@pytest.mark.parametrize("thresholds", [WITH_MEANING, BY_WORDS])
def test_a_tip_is_a_duplicate_only_of_one_that_is_very_similar(thresholds: Thresholds) -> None:
    other = "Always retry failed payments before reporting them."

    assert decide_by_words(RETRY, other, thresholds.same, thresholds) == ("duplicate", "")
    assert decide_by_words(RETRY, other, thresholds.same - 0.01, thresholds) == ("new", "")


@pytest.mark.parametrize("thresholds", [WITH_MEANING, BY_WORDS])
def test_a_tip_contradicts_one_that_is_similar_and_says_the_opposite(thresholds: Thresholds) -> None:
    decision, reason = decide_by_words(RETRY, NEVER_RETRY, thresholds.opposed, thresholds)

    assert decision == "contradicts"
    assert NEVER_RETRY.rstrip(".") in reason
    assert decide_by_words(RETRY, NEVER_RETRY, thresholds.opposed - 0.01, thresholds)[0] == "new"


def test_opposites_are_never_duplicates_however_similar_they_are() -> None:
    assert decide_by_words(RETRY, NEVER_RETRY, 1.0, WITH_MEANING)[0] == "contradicts"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *UNCLEAR,
        *DIFFERENT,
        ("show_orders() returns order ids.", "show_order_history() returns order ids."),
        ("For 'newest' tasks: read all pages.", "For 'oldest' tasks: read all pages."),
    ],
)
def test_what_differs_in_a_word_a_number_or_a_name_is_not_a_duplicate(one: str, other: str) -> None:
    assert decide_by_words(one, other, 1.0, WITH_MEANING)[0] == "new"


def test_tips_for_opposite_triggers_do_not_contradict_each_other() -> None:
    triggers = ("when payments are declined", "when payments are accepted")

    assert decide_by_words(RETRY, NEVER_RETRY, 1.0, WITH_MEANING, triggers=triggers)[0] == "new"
