"""Cut texts to a budget: first the middles of the longest texts, then whole texts from the middle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BYTES_PER_TOKEN = 3

# Below this a text says nothing any more: then whole ones are left out.
_LEAST_BYTES = 200
_KEPT_LONGER = 2
_NOTE_BYTES = 64  # no note is longer
_NONCE_BYTES = 8


def size(text: str) -> int:
    """Return the number of bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def estimated_tokens(text: str) -> int:
    """Estimate a text's tokens as one for three bytes, which is more than models count."""
    return -(-size(text) // BYTES_PER_TOKEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A text below its mark, or beside it if `inline`; `step` is the number of its message, or 0.

    A `pinned` piece is left out last, and may be longer than others.
    """

    mark: str
    text: str = ""
    step: int = 0
    inline: bool = False
    pinned: bool = False

    def render(self, nonce: str) -> str:
        mark = f"[{nonce} {self.mark}]"
        return f"{mark}{' ' if self.inline else chr(10)}{self.text}" if self.text else mark

    @property
    def marked_size(self) -> int:
        """Return the bytes of the piece without its text, including the line break after it."""
        return _NONCE_BYTES + size(self.mark) + (5 if self.text else 4)


def fitted(pieces: Sequence[Piece], budget: int, nonce: str) -> list[str]:
    """Render the pieces in at most `budget` bytes, counting a line break after each.

    A note marks what was cut or left out. The last piece always stays.
    """
    sizes = [size(piece.text) for piece in pieces]
    room = budget - sum(piece.marked_size for piece in pieces)
    if sum(sizes) > room:
        weights = [_KEPT_LONGER if piece.pinned else 1 for piece in pieces]
        limit = max(_limit(sizes, weights, room), _LEAST_BYTES)
        pieces = [
            replace(piece, text=cut(piece.text, limit * weight, nonce)) if length > limit * weight else piece
            for piece, length, weight in zip(pieces, sizes, weights, strict=True)
        ]
    return list(_ends(pieces, budget, nonce))


def cut(text: str, limit: int, nonce: str) -> str:
    """Cut the text to `limit` bytes (at least 200): its beginning, a note of what is missing, its end."""
    if size(text) <= limit:
        return text
    data = text.encode("utf-8", "surrogatepass")
    half = (limit - _NOTE_BYTES) // 2
    head, tail = (part.decode("utf-8", "ignore") for part in (data[:half], data[-half:]))
    missing = len(text) - len(head) - len(tail)
    return f"{head}\n[{nonce} {missing:,} characters left out]\n{tail}"


def _limit(sizes: Sequence[int], weights: Sequence[int], room: int) -> int:
    """Find the greatest length at which all texts fit; a text of weight 2 may be twice as long."""
    low, high = 0, max(sizes)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(length, middle * weight) for length, weight in zip(sizes, weights, strict=True)) <= room:
            low = middle
        else:
            high = middle - 1
    return low


def _ends(pieces: Sequence[Piece], budget: int, nonce: str) -> Iterator[str]:
    """Keep the pinned pieces, the last ones (two thirds of the room) and the first ones."""
    costs = [piece.marked_size + size(piece.text) for piece in pieces]
    if sum(costs) <= budget:
        yield from (piece.render(nonce) for piece in pieces)
        return
    left = budget - 3 * _NOTE_BYTES
    kept: set[int] = set()

    def keep(numbers: Sequence[int], room: int) -> int:
        for number in numbers:
            if number not in kept:
                if costs[number] > room:
                    break
                room -= costs[number]
                kept.add(number)
        return room

    last = len(pieces) - 1
    left = keep([last, *(number for number, piece in enumerate(pieces) if piece.pinned)], left)
    left = left - left * 2 // 3 + keep(range(last, -1, -1), left * 2 // 3)
    keep(range(last), left)
    for before, number in pairwise([-1, *sorted(kept), len(pieces)]):
        if number - before > 1:
            yield f"[{nonce} left out here: {_named(pieces[before + 1 : number])}]"
        if number < len(pieces):
            yield pieces[number].render(nonce)


def _named(pieces: Sequence[Piece]) -> str:
    first, last = pieces[0].step, pieces[-1].step
    if not first:
        return f"{len(pieces)} more"
    return f"steps {first} to {last}" if last > first else f"more of step {first}"
