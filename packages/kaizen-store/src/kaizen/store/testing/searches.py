"""The contract of searching: what fits is found, what is gone or not asked for is not, whatever the query."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from kaizen.store.errors import InvalidInputError, NotFoundError
from kaizen.store.model import Delete, Put
from kaizen.store.testing.fixtures import NAMESPACE, OpenStore, StoreFixtures, both, put

if TYPE_CHECKING:
    from kaizen.store.contract import Store

_ANY_TEXTS = (
    *("", " ", "?!", '"', "a\0b", "é", "日本語の検索", "\N{PILE OF POO}", "retry " * 5_000),
    *("'; DROP TABLE entities; --", "%", "\\", "&|!:*<->"),
    *("retry AND", "NEAR(a b)", "re*", "content:x", "-retry", "(", "^retry", "{a}"),
)
# Texts that share no word, and ways in which people ask for one of theirs.
_WRITTEN = {
    "Herr Müller zahlt per Rechnung.": ("Muller", "MÜLLER", "mu\u0308ller"),
    "Die Straße ist gesperrt.": ("strasse", "STRASSE", "straße"),
    "DIE GRÖSSTE ÜBERWEISUNG": ("größte", "uberweisung"),
    "Smørrebrød w Łodzi": ("smorrebrod", "łodzi", "LODZI"),
    "결제가 실패했다": ("결제", "실패"),
    "\uff21\uff30\uff29 \uff2b\uff45\uff59": ("api", "api_key"),
}


class SearchContract(StoreFixtures):
    def test_a_sentence_finds_what_shares_some_of_its_words(
        self, store: Store, open_store: OpenStore
    ) -> None:
        _fill(store)
        for either in both(store, open_store):
            hits = either.search(NAMESPACE, "How should I behave when the payment gateway returns 429?")
            assert hits[0].entity == either.get(NAMESPACE, "retry")
            assert hits[0].lexical is not None
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)

    def test_names_are_found_by_their_parts(self, store: Store) -> None:
        _fill(store)
        for query in ("show_song_library", "song library", "showSongLibrary()"):
            assert _ids(store, query)[0] == "songs"

    def test_trigger_and_task_are_searched_too(self, store: Store) -> None:
        _fill(store)
        assert _ids(store, "cancel a reservation")[0] == "ask"
        assert _ids(store, "airline")[0] == "ask"

    def test_type_and_metadata_select_what_is_searched(self, store: Store) -> None:
        _fill(store)
        assert set(_ids(store, "retry payment", type="trajectory")) == {"run"}
        assert set(_ids(store, "retry payment", where={"category": "recovery"})) == {"retry"}
        assert _ids(store, "retry a confirmation", where={"category": None})[0] in ("ask", "run")
        assert "retry" not in _ids(store, "retry a confirmation", where={"category": None})
        assert _ids(store, "retry", type="none-of-this") == []
        assert _ids(store, "retry", type="trajectory", where={"category": "recovery"}) == []

    def test_a_selective_filter_does_not_starve(self, store: Store) -> None:
        others: list[Put] = [put(f"other-{n}", "retry retry retry") for n in range(300)]
        wanted = put("wanted", "a long text that also says retry", metadata={"w": 1})
        store.commit(NAMESPACE, [*others, wanted])
        assert _ids(store, "retry", where={"w": 1}, limit=1) == ["wanted"]
        assert len(_ids(store, "retry", where={"w": None}, limit=200)) == 200

    def test_a_search_sees_the_present(self, store: Store, open_store: OpenStore) -> None:
        _fill(store)
        with open_store() as other:
            assert "songs" in _ids(store, "song library")
            other.commit(NAMESPACE, [put("songs", "Nothing of the kind.", type="guideline")])
            other.commit(NAMESPACE, [Delete(id="retry")])
            other.commit(NAMESPACE, [put("new", "The song library has pages.", type="guideline")])
            for either in (store, other):
                assert _ids(either, "song library")[0] == "new"
                assert "retry" not in _ids(either, "payment gateway 429")
                found = {hit.entity.id: hit for hit in either.search(NAMESPACE, "song library")}
                assert "songs" not in found or found["songs"].lexical is None
                assert _ids(either, "nothing of the kind")[0] == "songs"

    def test_a_change_of_type_moves_an_entity(self, store: Store) -> None:
        store.commit(NAMESPACE, [put("e", "retry", type="a")])
        store.commit(NAMESPACE, [put("e", "retry", type="b")])
        assert _ids(store, "retry", type="a") == []
        assert _ids(store, "retry", type="b") == ["e"]

    def test_namespaces_do_not_see_each_other(self, store: Store) -> None:
        _fill(store)
        store.create_namespace("empty")
        assert store.search("empty", "retry") == []
        with pytest.raises(NotFoundError):
            store.search("missing", "retry")

    def test_the_limit_holds(self, store: Store) -> None:
        store.commit(NAMESPACE, [put(str(n), "retry") for n in range(20)])
        assert len(store.search(NAMESPACE, "retry")) == 10
        assert len(store.search(NAMESPACE, "retry", limit=3)) == 3
        with pytest.raises(InvalidInputError):
            store.search(NAMESPACE, "retry", limit=0)

    def test_any_text_is_a_query(self, store: Store) -> None:
        _fill(store)
        for query in _ANY_TEXTS:
            for hit in store.search(NAMESPACE, query):
                assert hit.entity == store.get(NAMESPACE, hit.entity.id)

    def test_what_is_no_text_is_no_query(self, store: Store) -> None:
        for query in (None, 3, "\ud800"):
            with pytest.raises(InvalidInputError):
                store.search(NAMESPACE, cast("str", query))

    def test_scripts_without_spaces_are_searched_by_character(self, store: Store) -> None:
        store.commit(NAMESPACE, [put("ja", "支払いが失敗したら再試行する")])
        store.commit(NAMESPACE, [put("en", "Retry a payment that failed.")])
        assert _ids(store, "再試行")[0] == "ja"

    def test_words_are_found_however_they_are_written(self, store: Store, open_store: OpenStore) -> None:
        store.commit(NAMESPACE, [put(text, text) for text in _WRITTEN])
        for either in both(store, open_store):
            for text, query in ((text, query) for text, queries in _WRITTEN.items() for query in queries):
                (first, *_) = either.search(NAMESPACE, query)
                assert first.entity.id == text, query
                assert first.lexical is not None, query

    def test_any_content_is_searched(self, store: Store) -> None:
        contents = ["", "\0", "a\0needle", "needle " * 20_000, '"needle', "ne\u0301edle\n\t needle"]
        store.commit(NAMESPACE, [put(str(n), text) for n, text in enumerate(contents)])
        assert {"2", "3", "4", "5"} <= set(_ids(store, "needle"))


def _fill(store: Store) -> None:
    retry = "When a payment is answered with 429, wait for Retry-After and retry."
    songs = "show_song_library() returns one page; go on until it is empty."
    task = {"trigger": "the customer wants to cancel a reservation", "task_description": "airline"}
    store.commit(
        NAMESPACE,
        [
            put("retry", retry, type="guideline", metadata={"category": "recovery"}),
            put("songs", songs, type="guideline"),
            put("ask", "Ask for a confirmation first.", type="guideline", metadata=task),
            put("run", "The agent had to retry a payment once.", type="trajectory"),
        ],
    )


def _ids(store: Store, query: str, **options: object) -> list[str]:
    return [hit.entity.id for hit in store.search(NAMESPACE, query, **options)]  # type: ignore[arg-type]
