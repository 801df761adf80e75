"""One Phoenix server over HTTP: lists in pages, and its errors in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kaizen.sync.errors import SourceError
from kaizen.sync.sources.http import JsonClient, Server

if TYPE_CHECKING:
    import httpx

    from kaizen.sync.settings import PhoenixSettings

OLDEST_SERVER = "13.9"
_ADVICE = {
    401: "set PHOENIX_API_KEY to a valid key",
    403: "the key in PHOENIX_API_KEY may not read this project",
    404: "check --url; the project may have been deleted meanwhile",
    422: "the server may be of a version that Kaizen does not know; run `kaizen doctor`",
}


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a list: its records, how many bytes they took, and whether more follow."""

    data: list[Any]
    size: int
    cursor: str


class PhoenixClient(JsonClient):
    """Safe for threads. Every method raises `SourceError` with what to do about it."""

    def __init__(self, settings: PhoenixSettings) -> None:
        super().__init__(server_of(settings))

    def pages(
        self, path: str, parameters: Sequence[tuple[str, str]], *, may_be_empty: bool = True
    ) -> Iterator[Page]:
        """Yield the pages of a list, one request each; `parameters` may name a `limit`.

        A page without records is believed only when asked for twice: where the page before led to it, and
        everywhere unless the list `may_be_empty`.
        """
        cursor = ""
        seen: set[str] = set()
        before: list[Any] = []
        while True:
            asked = [*parameters, *([("cursor", cursor)] if cursor else [])]
            page = self.page(path, asked)
            if not page.data and not page.cursor and (cursor or not may_be_empty):
                page = self.page(path, asked)
            # A proxy that drops or caches the query would be read for ever.
            if page.cursor and (page.cursor in seen or page.data in ([], before)):
                raise SourceError(self.unexpected(path, "pages without end"))
            yield page
            if not page.cursor:
                return
            cursor, before = page.cursor, page.data
            seen.add(cursor)

    def page(self, path: str, parameters: Sequence[tuple[str, str]]) -> Page:
        """Get one page; see `ask`."""
        answer = self.ask(path, parameters)
        return Page(answer.value["data"], answer.size, str(answer.value.get("next_cursor") or ""))

    def _note(self, response: httpx.Response) -> None:
        self.server_version = response.headers.get("x-phoenix-server-version", self.server_version)

    def _missing(self, value: dict[str, Any]) -> str:
        return "" if isinstance(value.get("data"), list) else "no page of data"


def server_of(settings: PhoenixSettings) -> Server:
    """Return how that server is asked."""
    return Server(
        title="Phoenix",
        base_url=settings.base_url,
        headers=settings.headers,
        timeout_s=settings.timeout_s,
        ca_file=settings.ca_file,
        expected=f"a Phoenix server of version {OLDEST_SERVER} or newer",
        start="start it with `phoenix serve`, or say where it is with --url or PHOENIX_URL",
        advice=_ADVICE,
    )
