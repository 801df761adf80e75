"""Words are folded and stemmed as the store's search does it."""

from __future__ import annotations

import random
import sqlite3
from typing import TYPE_CHECKING

import pytest

from kaizen.recall import words
from kaizen.store import text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

TEXTS = (
    "HTTPServer getUserName snake_case_name Straße STRASSE naïve Ærøskøbing İstanbul",
    "航班 LX 1024 は 취소 되었습니다 日本語のテキスト",
    "ﬁne ½ x² e.g. don't 3.14 #tag @user a-b_c",
    "",
)


def stems_of_sqlite(found: Iterable[str]) -> dict[str, str]:
    """What FTS5 makes of each word, with the tokenizer of the store."""
    ordered = sorted(set(found))
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE VIRTUAL TABLE t USING fts5(x, tokenize='{text.FTS_TOKENIZER}')")
    connection.execute("CREATE VIRTUAL TABLE v USING fts5vocab(t, 'instance')")
    connection.executemany("INSERT INTO t (rowid, x) VALUES (?, ?)", enumerate(ordered))
    stems = {ordered[row]: stem for stem, row in connection.execute("SELECT term, doc FROM v")}
    connection.close()
    return stems


def test_the_words_that_say_nothing_are_the_stores() -> None:
    assert words.STOPWORDS == text.STOPWORDS
    assert words.MAX_QUERY_WORDS == text.MAX_QUERY_WORDS
    assert words.MAX_CHARACTERS == text.MAX_SEARCHED_CHARACTERS


@pytest.mark.parametrize("written", TEXTS)
def test_a_text_is_folded_as_in_the_store(written: str) -> None:
    assert words.fold_text(written) == text.fold_text(written)


def test_made_up_words_are_stemmed_as_in_the_store() -> None:
    draw = random.Random(3)
    starts = ["".join(draw.choices("bcdlmnrstaeiouy", k=draw.randint(1, 5))) for _ in range(400)]
    endings = [*words._STEP_4.split(), *(pair.partition(":")[0] for pair in words._STEP_2.split())]
    endings += ["ed", "ing", "s", "ies", "sses", "eed", "y", "e", "ll", "", "bled", "tting"]
    # No word has two y in a row, of which the second would be a consonant.
    made = [word for start in starts for ending in endings if "yy" not in (word := start + ending)]
    made = [word for word in made if len(word) > 3]
    stems = stems_of_sqlite(made)
    assert len(stems) > 10_000
    assert {word: words.stem(word) for word in stems} == stems


def test_the_words_of_real_texts_are_stemmed_as_in_the_store(shared_data: Path) -> None:
    lines = (shared_data / "retrieval" / "metatool_queries_dev.jsonl").read_text(encoding="utf-8")
    stems = stems_of_sqlite(words.fold_text(lines).split())
    assert len(stems) > 1_000
    assert {word: words.stem(word) for word in stems} == stems
