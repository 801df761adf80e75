"""Read the cells of a column in CSV, in Markdown and in what databases print."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_DELIMITERS = "|\t,;"
_RULE = re.compile(r"[\s|+:=-]+")
# A cell that holds more than a word beside the name is a sentence.
_IN_HEADER = re.compile(r"[\s\"'`*_]*(?:\w{1,12}[\s\"'`*_]+)?")
_ROWS = 10_000
_HEADER_CHARS = 2_000
_COLUMNS = 8  # more of one table would take more than linear time


class Tables:
    """Reads tables of one text from its start to its end, each line of them once for a column."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._first = self._columns = 0
        self._end = -1

    def cells_below(
        self, start: int, end: int, is_secret: Callable[[str], bool]
    ) -> Iterator[tuple[int, int]]:
        """Yield where values stand below the header cell with the name from `start` to `end`."""
        text = self._text
        first = text.rfind("\n", max(0, start - _HEADER_CHARS), start) + 1
        last = text.find("\n", end, end + _HEADER_CHARS)
        if last < 0 or (first < self._end and (first != self._first or self._columns >= _COLUMNS)):
            return
        header = text[first:last]
        delimiter = max(_DELIMITERS, key=header.count)
        before = text[first:start]
        alone = before.rpartition(delimiter)[2] + text[end:last].partition(delimiter)[0]
        if delimiter in header and _IN_HEADER.fullmatch(alone):
            self._columns = self._columns + 1 if first == self._first else 1
            self._first = first
            yield from self._column(
                last + 1, delimiter, header.count(delimiter), before.count(delimiter), is_secret
            )

    def _column(
        self, position: int, delimiter: str, count: int, column: int, is_secret: Callable[[str], bool]
    ) -> Iterator[tuple[int, int]]:
        for _ in range(_ROWS):
            end = self._text.find("\n", position)
            line = self._text[position : end if end >= 0 else None]
            if line.count(delimiter) == count:
                yield from _cell(line, position, delimiter, column, is_secret)
            elif not line or not _RULE.fullmatch(line):
                return
            self._end = position + len(line)
            if end < 0:
                return
            position = end + 1


def _cell(
    line: str, position: int, delimiter: str, column: int, is_secret: Callable[[str], bool]
) -> Iterator[tuple[int, int]]:
    cells = line.split(delimiter)
    start = position + sum(len(cell) + 1 for cell in cells[:column])
    value = cells[column].strip(" \t\r\"'`*")
    if value and is_secret(value):
        offset = start + cells[column].index(value)
        yield offset, offset + len(value)
