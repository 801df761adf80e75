"""Clusters in which each is like each other: two strangers never meet by way of a third. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence


def clusters(
    likeness: Mapping[tuple[int, int], float],
    sizes: Sequence[int],
    *,
    fixed: Collection[int] = (),
    largest: int,
) -> list[list[int]]:
    """The clusters of two or more of the items 0 .. len(sizes) - 1, likest first (complete linkage).

    `likeness` names the pairs that may share a cluster, the smaller number first, and how alike they are. The
    sizes in a cluster add up to at most `largest`, and at most one of `fixed` is in it. No two clusters could
    be joined: whatever keeps two apart keeps apart all that they grow into.
    """
    of = {item: [item] for item in range(len(sizes))}
    for one, other in sorted(likeness, key=lambda pair: (-likeness[pair], pair)):
        if of[one] is of[other]:
            continue
        joined = sorted(of[one] + of[other])
        if sum(sizes[item] for item in joined) > largest or sum(item in fixed for item in joined) > 1:
            continue
        if all((min(a, b), max(a, b)) in likeness for a in of[one] for b in of[other]):
            of.update(dict.fromkeys(joined, joined))
    found = {id(members): members for members in of.values() if len(members) > 1}
    return list(found.values())
