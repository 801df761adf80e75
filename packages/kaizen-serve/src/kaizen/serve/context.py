"""What requests share: the open store, the settings, and threads in which the store is read."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from kaizen.serve.cached import Cache
from kaizen.serve.errors import BusyError
from kaizen.serve.recalling import read_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from kaizen.recall import Snapshot
    from kaizen.serve.settings import ServeSettings
    from kaizen.store import Store, StoreSettings

P = ParamSpec("P")
T = TypeVar("T")


class Context:
    """The one store of this process; `namespace_id` is that of requests that name none.

    A store may be shared by threads. `read` and `write` run one of its functions in a thread, so that the
    event loop goes on; as many as `settings.threads` run at the same time.
    """

    def __init__(self, settings: ServeSettings, store: Store, where: StoreSettings) -> None:
        self.settings = settings
        self.store = store
        self.where = where
        self.namespace_id = where.namespace_id
        self._cache = Cache(store, self.read)
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="kaizen-serve")

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the function returns. Raises `BusyError` after `settings.timeout_s`."""
        running = asyncio.get_running_loop().run_in_executor(
            self._threads, partial(function, *args, **kwargs)
        )
        try:
            return await asyncio.wait_for(running, self.settings.timeout_s)
        except TimeoutError as error:
            raise BusyError(f"the store took more than {self.settings.timeout_s:g} s: try again") from error

    async def latest(self, namespace_id: str, read: Callable[[Store, str], T]) -> T:
        """Return `read(store, namespace_id)`, which is kept until the namespace changes.

        The function itself is the key. In a namespace that changes all the time the value may lag behind by
        twenty times what it takes to read, but never behind a change by this process.
        """
        return await self._cache.get(namespace_id, read)

    def read_snapshot(self, store: Store, namespace_id: str) -> Snapshot:
        """Return the tips that agents may be shown, to choose from; to be asked for by `latest`."""
        return read_snapshot(store, namespace_id, try_candidates=self.where.try_candidates)

    async def write(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the function returns, once it is done: what was begun is never left untold."""
        running = asyncio.get_running_loop().run_in_executor(
            self._threads, partial(function, *args, **kwargs)
        )
        try:
            return await asyncio.shield(running)
        finally:
            self._cache.expire()

    def close(self) -> None:
        """Wait for what runs, and take on no more."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def context_of(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


def namespace_of(request: Request) -> str:
    """Return the namespace that the address names as `?namespace=`, or else the default one."""
    return request.query_params.get("namespace") or context_of(request).namespace_id
