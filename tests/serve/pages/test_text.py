"""Texts of anyone, as they are shown."""

from __future__ import annotations

import time

import pytest

from kaizen.serve.pages.history import diff
from kaizen.serve.pages.plot import Point, effect_plot, interval_bar
from kaizen.serve.pages.text import around, bounded, marked, safe_url, shown, shown_tip, summary
from kaizen.serve.pages.words import ago, counted, when


def test_what_is_invisible_is_named() -> None:
    assert shown("a\u202eb\x00<") == (
        'a<span class="hidden-character" title="right-to-left override">U+202E</span>b'
        '<span class="hidden-character" title="control character">U+0000</span>&lt;'
    )
    assert shown("tab\tline\n日本 👩‍👩‍👧") == "tab\tline\n日本 👩‍👩‍👧"


def test_code_in_a_tip_is_code() -> None:
    assert shown_tip("Call `a<b` first, ` and") == "Call <code>a&lt;b</code> first, ` and"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://localhost:6006/x", True),
        ("https://a.example/?q=1", True),
        ("javascript:alert(1)", False),
        ("JAVASCRIPT:alert(1)", False),
        ("data:text/html,x", False),
        ("//evil.example", False),
        ("http://a.example/\n", False),
        ("http://[", False),
        (None, False),
    ],
)
def test_only_web_addresses_become_links(url: str | None, kept: bool) -> None:
    assert safe_url(url) == (url if kept else "")


def test_a_quote_is_found_whatever_its_white_space_and_case() -> None:
    pieces = marked('it said "Amount\n must be" cents', ["amount must be"])
    assert [piece.text for piece in pieces if piece.is_marked] == ["Amount\n must be"]
    assert "".join(piece.text for piece in pieces) == 'it said "Amount\n must be" cents'


def test_a_line_of_two_megabytes_is_bounded_and_takes_no_time() -> None:
    text = "a " * 1_000_000 + "the quote" + " b" * 1_000_000
    began = time.process_time()
    pieces = around(marked(text, ["the quote"]))
    assert "the quote" in [piece.text for piece in pieces if piece.is_marked]
    assert sum(len(piece.text) for piece in pieces) < 2_100
    assert len(shown(bounded(text))) < 21_000
    assert len(summary(text)) < 170
    assert time.process_time() - began < 2


def test_texts_are_compared_by_words() -> None:
    assert diff("read the order", "read an order") == [
        ("=", "read "),
        ("-", "the"),
        ("+", "an"),
        ("=", " order"),
    ]
    long = "word " * 5_000
    assert [sign for sign, _ in diff(long, long + "more")] == ["-", "+"]


def test_plots_say_in_words_what_they_show() -> None:
    assert 'aria-label="+50 points, between +20 and +80"' in interval_bar(0.5, 0.2, 0.8)
    assert 'class="interval good"' in interval_bar(0.5, 0.2, 0.8, "helps")
    plot = effect_plot([Point(10, 0.1, -1.0, 1.0), Point(20, 0.2, -0.5, 3.0)], 'so "it" is')
    assert 'aria-label="so &#34;it&#34; is"' in plot
    assert plot.count("<circle") == 2
    assert effect_plot([], "") == ""


def test_times_are_told_in_their_greatest_unit() -> None:
    assert ago("not a time") == ""
    assert when("2026-03-04T10:00:00+02:00") == "2026-03-04 08:00 UTC"
    assert counted(1, "trace") == "1 trace"
    assert counted(1_200, "trace") == "1,200 traces"
