"""What sources that are read over HTTP have in common."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from kaizen.sync.model import Trace
    from kaizen.sync.sources.http import JsonClient

_FETCHES = 2

Client = TypeVar("Client", bound="JsonClient")
Batch = TypeVar("Batch")


class RemoteSource(Generic[Client]):
    """The server's side of a source: where it is, what was asked of it, and its end."""

    def __init__(self, http: Client) -> None:
        self._http = http

    @property
    def url(self) -> str:
        return self._http.url

    @property
    def server_version(self) -> str:
        return self._http.server_version

    @property
    def requests(self) -> int:
        """Return the number of requests made so far."""
        return self._http.requests

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def stop(self) -> None:
        """End requests soon and try none again, so that a server which does not answer holds nobody up."""
        self._http.hurry()


def fetch_ahead(batches: Iterable[Batch], fetch: Callable[[Batch], list[Trace]]) -> Iterator[Trace]:
    """Yield the traces of the batches in order; two are fetched while the caller works on one before."""
    running: deque[Future[list[Trace]]] = deque()
    with ThreadPoolExecutor(_FETCHES, thread_name_prefix="kaizen-fetch") as executor:
        try:
            for batch in batches:
                running.append(executor.submit(fetch, batch))
                if len(running) == _FETCHES:
                    yield from running.popleft().result()
            while running:
                yield from running.popleft().result()
        finally:
            # Whoever stops reading must not wait for batches that nobody needs.
            for future in running:
                future.cancel()
