"""The contract of searching: what fits is found, what is gone or not asked for is not, whatever the query."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from kaizen.store.errors import InvalidInputError, NotFoundError
from kaizen.store.model import Delete, Put
from kaizen.store.testing.fixtures import NAMESPACE, OpenStore, StoreFixtures

if TYPE_CHECKING:
    from kaizen.store.contract import Store

_ANY_TEXTS = (
    *("", " ", "?!", '"', "a\0b", "é", "日本語の検索", "\N{PILE OF POO}", "retry " * 5_000),
    *("'; DROP TABLE entities; --", "%", "\\", "&|!:*<->"),
    *("retry AND", "NEAR(a b)", "re*", "content:x", "-retry", "(", "^retry", "{a}"),
)


class SearchContract(StoreFixtures):
    def test_a_sentence_finds_what_shares_some_of_its_words(
        self, store: Store, open_store: OpenStore
    ) -> None:
        _fill(store)
        with open_store() as reopened:
            for either in (store, reopened):
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
        others: list[Put] = [Put(id=f"other-{n}", type="t", content="retry retry retry") for n in range(300)]
        wanted = Put(id="wanted", type="t", content="a long text that also says retry", metadata={"w": 1})
        store.commit(NAMESPACE, [*others, wanted])
        assert _ids(store, "retry", where={"w": 1}, limit=1) == ["wanted"]
        assert len(_ids(store, "retry", where={"w": None}, limit=200)) == 200

    def test_a_search_sees_the_present(self, store: Store, open_store: OpenStore) -> None:
        _fill(store)
        with open_store() as other:
            assert "songs" in _ids(store, "song library")
            other.commit(NAMESPACE, [Put(id="songs", type="guideline", content="Nothing of the kind.")])
            other.commit(NAMESPACE, [Delete(id="retry")])
            other.commit(NAMESPACE, [Put(id="new", type="guideline", content="The song library has pages.")])
            for either in (store, other):
                assert _ids(either, "song library")[0] == "new"
                assert "retry" not in _ids(either, "payment gateway 429")
                found = {hit.entity.id: hit for hit in either.search(NAMESPACE, "song library")}
                assert "songs" not in found or found["songs"].lexical is None
                assert _ids(either, "nothing of the kind")[0] == "songs"

    def test_a_change_of_type_moves_an_entity(self, store: Store) -> None:
        store.commit(NAMESPACE, [Put(id="e", type="a", content="retry")])
        store.commit(NAMESPACE, [Put(id="e", type="b", content="retry")])
        assert _ids(store, "retry", type="a") == []
        assert _ids(store, "retry", type="b") == ["e"]

    def test_namespaces_do_not_see_each_other(self, store: Store) -> None:
        _fill(store)
        store.create_namespace("empty")
        assert store.search("empty", "retry") == []
        with pytest.raises(NotFoundError):
            store.search("missing", "retry")

    def test_the_limit_holds(self, store: Store) -> None:
        store.commit(NAMESPACE, [Put(id=str(n), type="t", content="retry") for n in range(20)])
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
        store.commit(NAMESPACE, [Put(id="ja", type="t", content="支払いが失敗したら再試行する")])
        store.commit(NAMESPACE, [Put(id="en", type="t", content="Retry a payment that failed.")])
        assert _ids(store, "再試行")[0] == "ja"

    def test_words_are_found_however_they_are_written(self, store: Store, open_store: OpenStore) -> None:
        texts = {
            "umlaut": "Herr Müller zahlt per Rechnung.",
            "sharp s": "Die Straße ist gesperrt.",
            "capitals": "DIE GRÖSSTE ÜBERWEISUNG",
            "no accent letter": "Smørrebrød w Łodzi",
            "particle": "결제가 실패했다",
            "wide": "\uff21\uff30\uff29 \uff2b\uff45\uff59",
        }
        queries = {
            "umlaut": ("Muller", "MÜLLER", "mu\u0308ller"),
            "sharp s": ("strasse", "STRASSE", "straße"),
            "capitals": ("größte", "uberweisung"),
            "no accent letter": ("smorrebrod", "łodzi", "LODZI"),
            "particle": ("결제", "실패"),
            "wide": ("api", "api_key"),
        }
        store.commit(NAMESPACE, [Put(id=name, type="t", content=text) for name, text in texts.items()])
        with open_store() as reopened:
            for either in (store, reopened):
                for name, ways in queries.items():
                    for query in ways:
                        (first, *_) = either.search(NAMESPACE, query)
                        assert first.entity.id == name, query
                        assert first.lexical is not None, query

    def test_any_content_is_searched(self, store: Store) -> None:
        contents = ["", "\0", "a\0needle", "needle " * 20_000, '"needle', "ne\u0301edle\n\t needle"]
        store.commit(NAMESPACE, [Put(id=str(n), type="t", content=text) for n, text in enumerate(contents)])
        assert {"2", "3", "4", "5"} <= set(_ids(store, "needle"))


def _fill(store: Store) -> None:
    store.commit(
        NAMESPACE,
        [
            Put(
                id="retry",
                type="guideline",
                content="When a payment is answered with 429, wait for Retry-After and retry.",
                metadata={"category": "recovery"},
            ),
            Put(
                id="songs",
                type="guideline",
                content="show_song_library() returns one page; go on until it is empty.",
            ),
            Put(
                id="ask",
                type="guideline",
                content="Ask for a confirmation first.",
                metadata={
                    "trigger": "the customer wants to cancel a reservation",
                    "task_description": "airline",
                },
            ),
            Put(id="run", type="trajectory", content="The agent had to retry a payment once."),
        ],
    )


def _ids(store: Store, query: str, **options: object) -> list[str]:
    return [hit.entity.id for hit in store.search(NAMESPACE, query, **options)]  # type: ignore[arg-type]
