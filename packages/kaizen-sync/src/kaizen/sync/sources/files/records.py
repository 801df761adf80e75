"""JSON values in a file: one a line, or one document over many lines; what is broken is reported."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from kaizen.sync.sources.files.content import MAX_LINE_BYTES, read_lines

if TYPE_CHECKING:
    from kaizen.sync.sources.files.content import Line

UNFINISHED = "unfinished last lines, read when they are whole"
TOO_LONG = f"lines of more than {MAX_LINE_BYTES // 1_000_000} MB"
NO_JSON = "lines that are not JSON"
TOO_DEEP = "lines nested too deeply"

Report = Callable[[str, int], None]
"""Takes what is wrong, and at which byte."""


class Record(NamedTuple):
    """A value, and the bytes that hold it. `is_document` says that it is all that the file holds."""

    offset: int
    end: int
    value: Any
    is_document: bool = False


def read_records(content: IO[bytes], offset: int, report: Report) -> Iterator[Record]:
    """Yield the values from that offset on. A last line that is not whole yet is left for later."""
    for line in read_lines(content, offset):
        if line.data is None:
            report(TOO_LONG, line.offset)
            continue
        text = line.data.strip().removeprefix(b"\xef\xbb\xbf")
        if not text:
            continue
        try:
            yield Record(line.offset, line.offset + line.size, parse_json(text))
        except ValueError as error:
            if line.offset == 0 and text[:1] in (b"{", b"["):
                document = _document(content)
                if document is not None:
                    yield document
                    return
                content.seek(line.size)
            if not line.is_ended or (line.offset == 0 and _is_beginning(text)):
                report(UNFINISHED, line.offset)
                return
            report(TOO_DEEP if isinstance(error.__cause__, RecursionError) else NO_JSON, line.offset)


def read_record(content: IO[bytes], offset: int) -> Any:
    """Return the value of the line at that offset; raise ValueError if it is none."""
    line: Line | None = next(read_lines(content, offset), None)
    if line is None or line.data is None:
        raise ValueError("no line is there")
    return parse_json(line.data.strip().removeprefix(b"\xef\xbb\xbf"))


def parse_json(text: bytes) -> Any:
    """Return the value of UTF-8 text; raise ValueError if it is not JSON, or nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _document(content: IO[bytes]) -> Record | None:
    content.seek(0)
    text = content.read(2 * MAX_LINE_BYTES + 1)
    if len(text) > 2 * MAX_LINE_BYTES:
        return None
    try:
        value = parse_json(text.strip().removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        return None
    return Record(0, len(text), value, is_document=True)


def _is_beginning(text: bytes) -> bool:
    """Return whether a first line is the beginning of a document that is not written to its end."""
    return text in (b"{", b"[", b"[{")
