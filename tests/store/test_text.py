"""Which words a query asks for, and what of an entity is searched."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import pytest

from kaizen.store import Entity
from kaizen.store.text import (
    FTS_TOKENIZER,
    MAX_QUERY_WORDS,
    MAX_SEARCHED_CHARACTERS,
    fold_text,
    query_words,
    searched_text,
)


def entity(content: str, **metadata: object) -> Entity:
    now = datetime.now(UTC)
    return Entity(
        id="e", namespace_id="n", type="guideline", content=content, metadata=metadata,
        created_at=now, updated_at=now, revision=1,
    )  # fmt: skip


def test_a_sentence_asks_for_its_telling_words_once_each() -> None:
    assert query_words("How do I page through the pages of the API? Page!") == [
        "page",
        "through",
        "pages",
        "api",
    ]


def test_common_words_are_asked_for_where_there_are_no_others() -> None:
    assert query_words("what is this") == ["what", "is", "this"]
    assert query_words("?!") == []


def test_names_are_words_of_their_own() -> None:
    assert query_words("showApiDoc HTTPServer page_index") == [
        "show",
        "api",
        "doc",
        "http",
        "server",
        "page",
        "index",
    ]
    assert fold_text("東京tower") == "東 京 tower"


@pytest.mark.parametrize(
    ("texts", "folded"),
    [
        (["Müller", "MÜLLER", "Mu\u0308ller", "Muller"], "muller"),
        (["Straße", "STRASSE", "STRAẞE", "strasse"], "strasse"),
        (["İstanbul", "\u0131stanbul", "Istanbul"], "istanbul"),
        (["Łódź", "LODZ"], "lodz"),
        (["Smørrebrød", "smorrebrod"], "smorrebrod"),
        (["ΟΔΟΣ", "οδός", "οδος"], "οδοσ"),
        (["ёлка", "ЕЛКА"], "елка"),
        (["\uff21\uff30\uff29", "api"], "api"),
        (["ﬁle", "file"], "file"),
        (["が", "か\u3099"], "が"),
        (["결제가", "결제가"], "결 제 가"),
        (["a\0b", "a_b", "a-b", " a  b "], "a b"),
    ],
)
def test_what_people_take_for_the_same_word_is_folded_to_the_same(texts: list[str], folded: str) -> None:
    assert [fold_text(text) for text in texts] == [folded] * len(texts)


def test_nothing_of_a_query_is_an_operator_of_fts5() -> None:
    assert query_words('a" OR (b) NEAR/2 col:* -x') == ["b", "near", "2", "col", "x"]


def test_a_long_query_is_cut() -> None:
    assert len(query_words(" ".join(f"w{number}" for number in range(100)))) == MAX_QUERY_WORDS


def test_the_trigger_and_the_task_are_searched_where_they_are_text() -> None:
    assert searched_text(entity("c", trigger="t", task_description=["no"], other="o")) == "c\nt"
    assert len(searched_text(entity("x" * 10_000))) == MAX_SEARCHED_CHARACTERS


def test_the_tokenizer_finds_other_forms_and_accents() -> None:
    database = sqlite3.connect(":memory:")
    database.execute(f"CREATE VIRTUAL TABLE found USING fts5 (body, tokenize = '{FTS_TOKENIZER}')")
    database.execute("INSERT INTO found VALUES ('Bookings at the café')")
    for word in ("booking", "cafe"):
        assert database.execute("SELECT count(*) FROM found WHERE found MATCH ?", (word,)).fetchone() == (1,)
    database.close()
