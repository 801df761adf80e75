"""A source that reads files: what those of files and of the transcripts of coding agents have in common."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Self

from kaizen.sync.model import Anchor, Trace
from kaizen.sync.sources.files.content import READ_ERRORS, is_compressed, open_content
from kaizen.sync.sources.files.following import Follower, place_of
from kaizen.sync.sources.files.index import FileIndex
from kaizen.sync.sources.files.records import read_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import IO

    from kaizen.sync.model import IndexedTrace, Span
    from kaizen.sync.sources.files.following import Reader
    from kaizen.sync.sources.files.index import KnownFile

_PARSED = 4
_COPY_CHUNK = 1_000_000


class IndexedFiles:
    """The traces in the files below some places, with an index of them in a file beside.

    Subclasses are sources: they have a `name` and a `settings_type`.
    """

    server_version = ""

    def __init__(self, roots: Sequence[Path], index: Path, reader: Reader, *, project: str) -> None:
        self.project = project
        self._index = FileIndex(index)
        self._reader = reader
        self._follower = Follower(roots, self._index, reader)
        self._is_scanned = False
        # Traces that are side by side are often in one line, and parsing that takes most of the time.
        self._parsed: OrderedDict[tuple[int, int], dict[str, Span]] = OrderedDict()
        self._uncompressed: tuple[int, IO[bytes]] | None = None

    @property
    def requests(self) -> int:
        """Return how many files were opened to read what is new."""
        return self._follower.opened

    @property
    def unread(self) -> Mapping[str, int]:
        return self._follower.unread

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        self._index.close()
        if self._uncompressed:
            self._uncompressed[1].close()
            self._uncompressed = None

    def probe(self) -> Anchor | None:
        """Read what is new in the files, and return how far they have come."""
        self._scan()
        newest = self._index.newest_start()
        return None if newest is None else Anchor(token=self._index.position(), start_time=newest)

    def index(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[IndexedTrace]:
        if not self._is_scanned:
            self._scan()
        # What comes next is scanned anew.
        self._is_scanned = False
        return self._index.traces(since, until)

    def changed_since(self, anchor: Anchor) -> dict[str, None] | None:
        changed = self._index.changed_since(anchor.token)
        return None if changed is None else dict.fromkeys(changed)

    def fetch(self, traces: Iterable[IndexedTrace]) -> Iterator[Trace]:
        for trace in traces:
            spans = sorted(self._spans(trace.trace_id), key=lambda span: (span.start_time, span.span_id))
            yield Trace(trace_id=trace.trace_id, spans=tuple(spans))

    def span_url(self, trace_id: str, span_id: str) -> str:
        """Return the file that holds the span, where in it, and the span's id."""
        for file_id, place, found in self._index.places(trace_id):
            known = self._index.file(file_id) if found == span_id or not span_id else None
            if known:
                return f"{known.path.as_uri()}#byte={place}&span={found}"
        return f"{self.name}:{trace_id}/{span_id}"

    @property
    def name(self) -> str:
        raise NotImplementedError

    def _scan(self) -> None:
        self._follower.scan()
        self._parsed.clear()
        self._is_scanned = True

    def _spans(self, trace_id: str) -> Iterator[Span]:
        for file_id, place, span_id in self._index.places(trace_id):
            found = self._spans_at(file_id, place).get(f"{trace_id} {span_id}")
            if found is not None:
                yield found

    def _spans_at(self, file_id: int, place: int) -> dict[str, Span]:
        """Return the spans of one place in a file; none if it holds something else by now, or is gone."""
        key = (file_id, place)
        if key not in self._parsed:
            known = self._index.file(file_id)
            try:
                spans = self._read(known, place) if known else []
            except (*READ_ERRORS, LookupError, TypeError, ValueError, AttributeError):
                spans = []
            self._parsed[key] = {f"{span.trace_id} {span.span_id}": span for span in spans}
            if len(self._parsed) > _PARSED:
                self._parsed.popitem(last=False)
        return self._parsed[key]

    def _read(self, known: KnownFile, place: int) -> list[Span]:
        if known.is_whole:
            values: list[Any] = self._follower.values(known)
        elif is_compressed(known.path):
            values = [read_record(self._content(known), place)]
        else:
            with open_content(known.path) as content:
                values = [read_record(content, place)]
        return self._reader.read(values, place_of(known))

    def _content(self, known: KnownFile) -> IO[bytes]:
        """Return a compressed file as it is uncompressed, in a temporary file: it is read here and there."""
        if self._uncompressed is None or self._uncompressed[0] != known.file_id:
            from shutil import copyfileobj
            from tempfile import TemporaryFile

            if self._uncompressed:
                self._uncompressed[1].close()
            copy = TemporaryFile()  # noqa: SIM115 - it is kept for the next place
            self._uncompressed = (known.file_id, copy)
            with open_content(known.path) as content:
                copyfileobj(content, copy, _COPY_CHUNK)
        return self._uncompressed[1]
