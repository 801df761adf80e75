"""Read a snapshot's document from where it is: a server, a file, or a store on this machine."""

from __future__ import annotations

import os
import time
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from kaizen.recall.snapshots.document import MAX_BYTES
from kaizen.recall.snapshots.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TOTAL_TIMEOUT_S = 30.0
_SOCKET_TIMEOUT_S = 5.0
_CHUNK = 65_536


class Fetched(NamedTuple):
    """A document, and what tells whether the source has another one."""

    data: bytes
    etag: str


def fetch(source: str, namespace_id: str, *, token: str = "", etag: str = "") -> Fetched | None:
    """Return the document; None if it is still the one with that etag. Raises `RecallError` and others."""
    if source.startswith(("http://", "https://")):
        return _fetch_url(_completed(source, namespace_id), token, etag)
    if os.path.isfile(source) or source.endswith(".json"):
        return _read_file(source, etag)
    return _read_store(source, namespace_id, etag)


def _read_file(path: str, etag: str) -> Fetched | None:
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            now = f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"
            return None if now == etag else Fetched(_within_limit(iter(lambda: file.read(_CHUNK), b"")), now)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}; set KAIZEN_RECALL_FROM") from error


def _read_store(source: str, namespace_id: str, etag: str) -> Fetched | None:
    try:
        from kaizen.store import StoreError, StoreSettings, open_store
        from kaizen.tips import recall_document
    except ImportError as error:
        where = f"the store {source}" if source else "the store of this machine"
        raise SourceError(
            f"{where} cannot be read without kaizen-store: install it here, "
            "or set KAIZEN_RECALL_FROM to a file or a server"
        ) from error
    place = {"backend" if ":" in source else "data_dir": source}
    try:
        settings = StoreSettings.from_environ(os.environ, **place)
        with open_store(settings) as store:
            now = str(store.get_namespace(namespace_id).version)
            if now == etag:
                return None
            document = recall_document(store, namespace_id, try_candidates=settings.try_candidates)
            return Fetched(document.encode(), now)
    except StoreError as error:
        raise SourceError(str(error)) from error


def _completed(url: str, namespace_id: str) -> str:
    """Return the URL of the document on a server of which only the address is given."""
    is_address = urlsplit(url).path in ("", "/")
    return f"{url.rstrip('/')}/v1/snapshot/{quote(namespace_id, safe='')}" if is_address else url


def _fetch_url(url: str, token: str, etag: str) -> Fetched | None:
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    host = urlsplit(url).hostname or ""
    is_loopback = host in ("localhost", "::1") or host.startswith("127.")
    if url.startswith("http://") and not is_loopback:
        raise SourceError(f"{_shown(url)} is not encrypted: set KAIZEN_RECALL_FROM to its https:// address")
    headers = {"Accept": "application/json", "Accept-Encoding": "gzip"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    headers |= {"If-None-Match": etag} if etag else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the caller has looked at it
    try:
        with _opener(is_loopback).open(request, timeout=_SOCKET_TIMEOUT_S) as response:
            chunks = _chunks(response)
            if response.headers.get("Content-Encoding") == "gzip":
                chunks = _inflated(chunks)
            return Fetched(_within_limit(chunks), response.headers.get("ETag") or "")
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 304:
            return None
        advice = "; set KAIZEN_RECALL_TOKEN" if error.code in (401, 403) else ""
        raise SourceError(f"{_shown(url)} answers {error.code}{advice}") from None
    except (OSError, HTTPException, zlib.error) as error:
        reason = getattr(error, "reason", None) or error
        raise SourceError(f"{_shown(url)} cannot be read: {reason}") from error


def _opener(is_loopback: bool) -> Any:
    """Return what opens URLs: through no proxy to this machine, and without following redirects."""
    import urllib.request

    class NoRedirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any, **__: Any) -> None:
            """Else the token would be sent to whatever host the server names."""

    proxies = [urllib.request.ProxyHandler({})] if is_loopback else []
    return urllib.request.build_opener(NoRedirects, *proxies)


def _chunks(response: Any) -> Iterator[bytes]:
    deadline = time.monotonic() + _TOTAL_TIMEOUT_S
    while chunk := response.read1(_CHUNK):
        yield chunk
        if time.monotonic() > deadline:
            raise SourceError(f"the source took more than {_TOTAL_TIMEOUT_S:.0f} s")


def _inflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits=31)
    for chunk in chunks:
        # Whatever is over the limit is refused, so what else there is of the chunk does not matter.
        yield inflater.decompress(chunk, MAX_BYTES + 1)
    if not inflater.eof:
        raise SourceError("the answer was cut off")


def _within_limit(chunks: Iterable[bytes]) -> bytes:
    found, size = [], 0
    for chunk in chunks:
        found.append(chunk)
        size += len(chunk)
        if size > MAX_BYTES:
            raise SourceError(f"the source has more than {MAX_BYTES:,} bytes: export fewer tips with --top")
    return b"".join(found)


def _shown(url: str) -> str:
    """Return the URL without credentials and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
