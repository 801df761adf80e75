"""One order out of hits by words and hits by meaning."""

from __future__ import annotations

import pytest

from kaizen.store.embedders.minilm import MiniLM
from kaizen.store.embedders.wordllama import WordLlama
from kaizen.store.ranking import candidate_count, fuse_scores, least_cosine, rarest_words


def test_what_both_sides_find_comes_before_what_one_finds() -> None:
    lexical = {1: 9.0, 2: 8.0}
    dense = {2: 0.8, 3: 0.8, 4: 0.1}

    assert list(fuse_scores(lexical, dense)) == [2, 3, 1, 4]


def test_the_order_depends_on_no_scale() -> None:
    lexical = {1: 9.0, 2: 4.0, 3: 1.0}
    dense = {1: 0.1, 2: 0.5, 3: 0.9, 4: 0.7}

    as_ts_rank = {key: score / 100 for key, score in lexical.items()}
    of_a_narrow_model = {key: 0.75 + score / 4 for key, score in dense.items()}

    assert fuse_scores(as_ts_rank, of_a_narrow_model) == pytest.approx(fuse_scores(lexical, dense))


def test_where_one_side_found_nothing_the_other_decides() -> None:
    assert fuse_scores({1: 2.0, 2: 4.0}, {}) == {2: 1.0, 1: 0.5}
    assert fuse_scores({}, {1: -0.1, 2: 0.3}) == {2: 1.0, 1: 0.0}
    assert fuse_scores({}, {}) == {}


def test_what_shares_no_word_and_means_something_else_is_not_found() -> None:
    assert fuse_scores({}, {1: 0.1, 2: 0.2}, least_cosine=0.25) == {}
    assert list(fuse_scores({1: 3.0}, {1: 0.1, 2: 0.2, 3: 0.3}, least_cosine=0.25)) == [3, 1]
    assert least_cosine(WordLlama) == least_cosine(MiniLM) == 0.25
    assert least_cosine(None) == -1.0


def test_equal_scores_are_in_order_of_the_key() -> None:
    assert list(fuse_scores({"b": 1.0, "a": 1.0}, {"c": 0.5, "d": 0.5})) == ["c", "d", "a", "b"]


def test_scores_of_zero_are_no_error() -> None:
    assert fuse_scores({1: 0.0}, {}) == {1: 0.0}
    assert fuse_scores({1: 0.0}, {2: 0.0}) == {2: 0.7, 1: 0.0}


def test_more_hits_ask_for_more_candidates() -> None:
    assert candidate_count(1) == candidate_count(10) == 100
    assert candidate_count(1_000) == 5_000


def test_the_rarest_words_are_ranked_and_at_least_one_that_is_in_any_text() -> None:
    counts = {"retry": 90, "gateway": 3, "unknown": 0, "payment": 8}
    assert rarest_words(counts, at_most=11) == ["gateway", "payment"]
    assert rarest_words(counts, at_most=10) == ["gateway"]
    assert rarest_words(counts, at_most=1_000) == ["gateway", "payment", "retry"]
    assert rarest_words({"unknown": 0, "retry": 90}, at_most=10) == ["retry"]
    assert rarest_words({"unknown": 0}, at_most=10) == []
