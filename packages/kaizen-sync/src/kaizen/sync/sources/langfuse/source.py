"""Traces in Langfuse, read by its public API: traces, observations and scores."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kaizen.sync.errors import SettingsError, SourceError
from kaizen.sync.sources.http import JsonClient
from kaizen.sync.sources.langfuse import records
from kaizen.sync.sources.langfuse.settings import LangfuseSettings
from kaizen.sync.sources.listing import FoundTrace, Listed, ListingSource, Totals
from kaizen.sync.sources.parsing import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from kaizen.sync.model import Annotation, Target

_PAGE = 100  # Langfuse gives no more
_TRACES = "/api/public/traces"
_OBSERVATIONS = "/api/public/observations"
_SCORES = "/api/public/v2/scores"


class LangfuseSource(ListingSource):
    """Read the traces of a Langfuse project and store what they teach.

    The keys in LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY say which project. Scores say how runs ended.

    Example: kaizen sync langfuse --url https://cloud.langfuse.com
    """

    name = "langfuse"
    settings_type = LangfuseSettings

    def __init__(self, settings: LangfuseSettings) -> None:
        if not settings.public_key:
            raise SettingsError("say which Langfuse project: LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY")
        http = JsonClient(settings.server())
        seen = settings.index_path(self.name, f"{http.url}\n{settings.public_key}")
        super().__init__(http, seen, project=settings.project or settings.public_key)

    def annotations(self, target: Target, ids: Sequence[str]) -> dict[str, list[Annotation]]:
        """Return the scores of those traces, sessions or observations: a request each, or for a hundred."""
        found: dict[str, list[Annotation]] = {}
        for asked in _questions(target, ids):
            for score in self._scores(asked):
                if parse("Langfuse", partial(records.is_about, target), score, _SCORES):
                    one, annotation = parse(
                        "Langfuse", partial(records.annotation_of, target), score, _SCORES
                    )
                    found.setdefault(one, []).append(annotation)
        return found

    def span_url(self, trace_id: str, span_id: str) -> str:
        """Return the address of the observation in Langfuse's UI."""
        return f"{self.url}/trace/{quote(trace_id, safe='')}?observation={span_id}"

    def _totals(self) -> Totals | None:
        asked = [("limit", "1"), ("page", "1"), ("orderBy", "timestamp.desc"), ("fields", "core")]
        newest, _ = self._data(_TRACES, asked)
        if not newest:
            return None
        _, spans = self._data(_OBSERVATIONS, [("limit", "1"), ("page", "1")])
        listed = parse("Langfuse", records.listed_of, newest[0], _TRACES)
        return Totals(spans, listed.trace_id, listed.start_time)

    def _page(self, since: datetime | None, until: datetime | None, place: str) -> tuple[list[Listed], str]:
        number = int(place or 1)
        limits = [("fromTimestamp", since), ("toTimestamp", until)]
        asked = [
            ("limit", str(_PAGE)),
            ("page", str(number)),
            ("orderBy", "timestamp.asc"),
            # Neither what went in and out nor the scores' text.
            ("fields", "core,observations,metrics"),
            *((name, time.isoformat()) for name, time in limits if time),
        ]
        data, _ = self._data(_TRACES, asked)
        page = [parse("Langfuse", records.listed_of, value, _TRACES) for value in data]
        return page, str(number + 1) if len(data) >= _PAGE else ""

    def _find(self, trace_ids: Sequence[str]) -> dict[str, FoundTrace]:
        found: dict[str, FoundTrace] = {}
        for trace_id in trace_ids:
            path = f"{_TRACES}/{quote(trace_id, safe='')}"
            try:
                value = self._http.ask(path).value
            except SourceError as error:
                if not error.is_nothing_there:
                    raise
                continue
            found[trace_id] = parse("Langfuse", records.found_of, value, path)
        return found

    def _scores(self, asked: tuple[str, str]) -> Iterator[Any]:
        number = 1
        while True:
            data, _ = self._data(_SCORES, [asked, ("limit", str(_PAGE)), ("page", str(number))])
            yield from data
            if len(data) < _PAGE:
                return
            number += 1

    def _data(self, path: str, asked: Sequence[tuple[str, str]]) -> tuple[list[Any], int]:
        """Return a page of a list, and how many there are in all."""
        answer = self._http.ask(path, asked).value
        data, meta = answer.get("data"), answer.get("meta")
        total = meta.get("totalItems") if isinstance(meta, dict) else None
        if not isinstance(data, list) or not isinstance(total, int):
            raise SourceError(self._http.unexpected(path, "no page of data"))
        return data, total


def _questions(target: Target, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what to ask for scores by: only observations are asked for together."""
    if target != "span":
        yield from ((f"{target}Id", one) for one in ids)
        return
    for start in range(0, len(ids), _PAGE):
        yield "observationId", ",".join(ids[start : start + _PAGE])
