"""Which like tips say the same, the opposite, or speak of different cases."""

from __future__ import annotations

import pytest

from kaizen.sync.knowledge.polarity import polarity

OPPOSITE = [
    ("show_song_library() returns play_count.", "show_song_library() does not return play_count."),
    ("Retry failed payments twice before reporting.", "Never retry failed payments before reporting."),
    ("Always send the token in the header.", "Never send the token in the header."),
    ("Always check the balance before transferring money.", "Check the balance after transferring money."),
    ("Log in before searching the library.", "Log in after searching the library."),
    ("Call search_songs() with a token.", "Call search_songs() without a token."),
    ("The total includes taxes.", "The total excludes taxes."),
    ("The total includes taxes.", "The total does not include taxes."),
    ("The page_limit argument is required.", "The page_limit argument is optional."),
    (
        "Use show_transactions() rather than show_social_feed().",
        "Use show_social_feed() instead of show_transactions().",
    ),
    ("Prefer show_song_library() over show_song().", "Prefer show_song() over show_song_library()."),
    ("If the payment is declined, retry it at once.", "If the payment is declined, do not retry it at once."),
    ("Sort the results in ascending order of date.", "Sort the results in descending order of date."),
    ("The search is case-sensitive.", "The search is case-insensitive."),
    ("The API supports batch deletion.", "The API doesn't support batch deletion."),
    ("Enable notifications for new alarms.", "Disable notifications for new alarms."),
    (
        "Refunds are possible once an order is delivered.",
        "Refunds are impossible once an order is delivered.",
    ),
    ("You can cancel delivered orders.", "You cannot cancel delivered orders."),
    ("The orders endpoint returns cancelled orders.", "The orders endpoint doesn't return cancelled orders."),
    (
        "Confirm with the user before cancelling a reservation.",
        "Cancel a reservation before confirming with the user.",
    ),
    ("Never modify more than one item in a call.", "Always modify more than one item in a call."),
    (
        "Gift cards can be refunded to the original payment method.",
        "Gift cards cannot be refunded to the original payment method.",
    ),
    (
        "When a flight is delayed, offer a certificate.",
        "When a flight is delayed, never offer a certificate.",
    ),
    ("Dates are inclusive in get_bookings().", "Dates are exclusive in get_bookings()."),
    ("update_user() accepts partial objects.", "update_user() rejects partial objects."),
    ("The results of list_files() are sorted by date.", "The results of list_files() are unsorted by date."),
    (
        "Pass the date with a time zone to create_event().",
        "Pass the date to create_event() without a time zone.",
    ),
    ("Use cached prices for the quote.", "Don't use cached prices for the quote."),
    ("It is safe to call delete_alarm() twice.", "It is not safe to call delete_alarm() twice."),
    (
        "Stop at the first page of results of search_flights().",
        "Fetch every page of results of search_flights(); never stop at the first page.",
    ),
    ("The user's consent is mandatory for refunds.", "The user's consent is not required for refunds."),
    ("Sum the transactions instead of netting them.", "Net the transactions instead of summing them."),
    ("Run the migrations in parallel.", "Run the migrations sequentially."),
    (
        "Cancelled flights are included in list_flights().",
        "Cancelled flights are missing from list_flights().",
    ),
    (
        "Strip the leading # from order ids before lookup.",
        "Keep the leading # in order ids; do not strip the leading # before lookup.",
    ),
    ("The token expires after logout.", "The token doesn't expire after logout."),
    ("Send e-mails to the guests automatically.", "Avoid sending e-mails to the guests automatically."),
    ("Close the file after writing to it.", "Close the file before writing to it."),
    ("You need to log in again after a timeout.", "You do not need to log in again after a timeout."),
    ("The amount is in dollars and must be positive.", "The amount must not be positive."),
    ("Weekend days are never excluded from the count.", "Exclude weekend days from the count."),
    ("Trust the summary; the tool verifies the totals.", "The tool does not verify the totals."),
]
APART = [
    ("If the payment is declined, retry it.", "If the payment is accepted, retry it."),
    ("Retry failed payments twice before reporting.", "Retry failed payments three times before reporting."),
    ("Use the oldest entry of the list.", "For weekly reports: use the newest entry of the list."),
    (
        "When a flight is delayed, offer a certificate.",
        "When a flight is not delayed, never offer a certificate.",
    ),
    ("For refunds: use the latest price.", "For exchanges: use the oldest price."),
    ("Wait 5 seconds between attempts.", "Wait 30 seconds between attempts."),
]
SAME = [
    ("Log in before searching the library.", "Search the library after logging in."),
    ("Do not search the library before logging in.", "Log in before searching the library."),
    ("Never search the library without first logging in.", "Log in before searching the library."),
    ("Never call search_songs() without a token.", "Call search_songs() with a token."),
    ("Call search_songs() without a token.", "Never call search_songs() with a token."),
    ("The total excludes taxes.", "The total does not include taxes."),
    ("The page_limit argument is not required.", "The page_limit argument is optional."),
    (
        "Use show_transactions() rather than show_social_feed().",
        "Use show_transactions(), not show_social_feed().",
    ),
    (
        "Use show_transactions() rather than show_social_feed().",
        "Never use show_social_feed(); use show_transactions().",
    ),
    ("Do not forget to close the session.", "Close the session."),
    ("Fetch all pages, not just the first one.", "Fetch all pages of the results."),
    ("The API doesn't support batch deletion.", "Batch deletion is not supported by the API."),
    ("Translate city names into English.", "Retry failed payments."),
    ("Avoid exhaustive rescans of the library.", "Never rescan the library exhaustively."),
    (
        "Ask for the order id before you look up the order.",
        "Before you look up the order, ask for the order id.",
    ),
    ("It is unsafe to call delete_alarm() twice.", "It is not safe to call delete_alarm() twice."),
    (
        "Fetch every page of results of search_flights().",
        "Fetch every page of results of search_flights(); never stop at the first page.",
    ),
    ("Do not call get_weather() without a city.", "Always pass a city to get_weather()."),
    ("Instead of netting the transactions, sum them.", "Sum the transactions rather than netting them."),
    ("Wait 5 seconds between attempts.", "Wait 5 seconds between attempts to log in."),
    ("If login fails, refresh the token.", "When the login fails, refresh the token and try again."),
    (
        "Check whether the user is a member before applying the discount.",
        "Verify that the user is a member before applying the discount.",
    ),
    ("Close the file after writing to it.", "Do not close the file before writing to it."),
    ("There is no need to log in again after a timeout.", "Logging in again is unnecessary after a timeout."),
    (
        "Compare strings ignoring case, since names vary.",
        "Compare strings ignoring case because names do not match otherwise.",
    ),
    ("Only call refund() after the user agrees.", "Call refund() after the user agrees."),
    ("Do not exclude weekend days from the count.", "Include weekend days in the count."),
    (
        "Use show_album() to get all songs, not just those in the library.",
        "Use show_album() to get all songs of the album.",
    ),
]


@pytest.mark.parametrize(("one", "other"), OPPOSITE)
def test_statements_of_which_only_one_can_be_right_are_opposite(one: str, other: str) -> None:
    assert polarity(one, other).relation == polarity(other, one).relation == "opposite"


@pytest.mark.parametrize(("one", "other"), APART)
def test_statements_for_different_cases_are_apart(one: str, other: str) -> None:
    assert polarity(one, other).relation == polarity(other, one).relation == "apart"


@pytest.mark.parametrize(("one", "other"), SAME)
def test_statements_in_other_words_are_the_same(one: str, other: str) -> None:
    assert polarity(one, other).relation == polarity(other, one).relation == "same"


def test_two_rules_on_what_one_call_returns_contradict_each_other() -> None:
    """In the manner of the pair that embeddings put at cosine 0.94."""
    one = (
        "API note: Check if apis.shop.show_orders() returns the total field in its response before making"
        " single show_order() calls for it. This saves many calls."
    )
    other = (
        "API note: apis.shop.show_orders() does NOT return the total field in its response. Single"
        " show_order() calls are required to get it, even though this costs more calls."
    )

    relation, reason = polarity(one, other)

    assert relation == "opposite"
    assert "apis.shop.show_orders() does NOT return the total field" in reason


def test_a_choice_is_opposite_only_where_the_case_may_be_the_same() -> None:
    newest, oldest = "Use the newest entry of the list.", "Use the oldest entry of the list."

    assert polarity(newest, oldest).relation == "opposite"
    cases = {"one_case": "when asked for the newest entry", "other_case": "when asked for the oldest entry"}
    assert polarity(newest, oldest, **cases).relation == "apart"


def test_a_rule_and_its_exception_are_apart() -> None:
    rule, exception = "Never refund a gift card.", "If a manager agrees, refund a gift card."

    assert polarity(rule, exception).relation == "apart"


def test_what_both_texts_say_is_no_contradiction_within_them() -> None:
    one = "Use show_payments(), not show_feed(). Use show_feed() for what friends paid."
    other = "Use show_payments(), not show_feed(). Read show_feed() to see what friends paid."

    assert polarity(one, other).relation != "opposite"


def test_why_something_is_to_be_done_is_no_part_of_what_is_said() -> None:
    one = "Read the page size from the answer. This avoids repeated calls to list_files()."
    other = "Read the page size from the answer, because repeated calls to list_files() are slow."

    assert polarity(one, other).relation == "same"


@pytest.mark.parametrize(
    "text", ["", "never", ":", "not not not", "(" * 5_000, "if " * 5_000, "a, not " * 5_000]
)
def test_any_text_is_the_same_as_itself_in_little_time(text: str) -> None:
    assert polarity(text, text).relation == "same"
