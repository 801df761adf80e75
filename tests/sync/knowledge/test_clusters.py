"""Clusters of like items: what may be in one, and that nothing more could be."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen.sync.knowledge.clusters import PairFinder, cluster
from tests.support.stored_tips import stored_tip

ITEMS = 9


@st.composite
def similarities(draw: st.DrawFn) -> dict[tuple[int, int], float]:
    pairs = draw(st.sets(st.sampled_from(list(combinations(range(ITEMS), 2)))))
    return {pair: draw(st.sampled_from([0.6, 0.7, 0.8, 1.0])) for pair in sorted(pairs)}


def is_one(
    members: list[int], similarity: dict[tuple[int, int], float], fixed: set[int], largest: int
) -> bool:
    return (
        len(members) <= largest
        and len(fixed.intersection(members)) <= 1
        and all(pair in similarity for pair in combinations(sorted(members), 2))
    )


@settings(max_examples=150, deadline=None)
@given(similarities(), st.sets(st.integers(0, ITEMS - 1), max_size=3), st.integers(2, 5))
def test_all_in_a_cluster_are_alike_and_no_two_clusters_could_be_one(
    similarity: dict[tuple[int, int], float], fixed: set[int], largest: int
) -> None:
    found = cluster(similarity, [1] * ITEMS, fixed=fixed, largest=largest)

    members = [item for group in found for item in group]
    assert len(members) == len(set(members))
    assert all(is_one(group, similarity, fixed, largest) for group in found)
    alone = [[item] for item in range(ITEMS) if item not in members]
    for one, other in combinations([*found, *alone], 2):
        assert not is_one(one + other, similarity, fixed, largest)


def test_a_chain_does_not_bring_strangers_together() -> None:
    chain = {(0, 1): 0.9, (1, 2): 0.8, (2, 3): 0.9}

    assert cluster(chain, [1] * 4, largest=9) == [[0, 1], [2, 3]]


def test_the_most_similar_pair_comes_first() -> None:
    assert cluster({(0, 1): 0.7, (1, 2): 0.9}, [1] * 3, largest=9) == [[1, 2]]


def test_sizes_add_up_to_no_more_than_the_largest() -> None:
    pairs = dict.fromkeys(combinations(range(3), 2), 1.0)

    assert cluster(pairs, [3, 2, 1], largest=4) == [[0, 2]]
    assert cluster(pairs, [3, 2, 1], largest=6) == [[0, 1, 2]]


def test_tips_that_claim_two_things_are_never_one_however_alike_their_words_are() -> None:
    wordings = [
        f'Check `flights` against the rule of `book` before calling it: "seat {why}".'
        for why in ("not available", "not enough")
    ]
    plain = [stored_tip(f"t{n}", text, "one") for n, text in enumerate(wordings)]
    claiming = [
        tip.with_metadata(claim={"kind": "change", "tool": "book", "error": tip.content}) for tip in plain
    ]

    assert PairFinder().pairs(plain, sure=False)
    assert PairFinder().pairs(claiming, sure=False) == {}
    assert PairFinder().pairs([plain[0], claiming[1]], sure=False)
