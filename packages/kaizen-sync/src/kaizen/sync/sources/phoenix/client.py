"""One Phoenix server over HTTP: JSON answers, retries where they help, errors with advice."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kaizen.sync.errors import SourceError
from kaizen.sync.llm.retry import wait_s
from kaizen.sync.redact import Redactor
from kaizen.sync.sources.phoenix.deadline import Deadline

if TYPE_CHECKING:
    import ssl
    from types import ModuleType

    import httpx
    import tenacity

    from kaizen.sync.settings import PhoenixSettings

_log = logging.getLogger(__name__)

_ATTEMPTS = 4
_ATTEMPTS_IF_UNUSABLE = 2  # a proxy's page seldom turns into JSON by waiting
_GRACE_S = 10.0
_IN_FLIGHT = 2
_SAID_CHARS = 10_000  # of an error's text, which may be a page
_LONGEST_WAIT_S = 30.0
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
OLDEST_SERVER = "13.9"


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a list: its records, how many bytes they took, and whether more follow."""

    data: list[Any]
    size: int
    cursor: str


class ServerFailedError(SourceError):
    """The server failed to make its answer (500), also when asked again: ask for something else."""


class PhoenixClient:
    """Safe for threads. Every method raises `SourceError` with what to do about it."""

    def __init__(self, settings: PhoenixSettings) -> None:
        self._settings = settings
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()
        self._in_flight = threading.BoundedSemaphore(_IN_FLIGHT)
        self._deadline = Deadline()
        self._is_hurried = False
        self.server_version = ""
        self.requests = 0
        # Called before each request; it may wait.
        self.admit: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return self._settings.base_url

    def shared(self) -> PhoenixClient:
        """Return a client that counts for itself, over the connections of this one, which closes them."""
        other = copy(self)
        with self._lock:
            other._client = self._client = self._client or connected(self._settings, self._deadline)
        other.requests = 0
        return other

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def hurry(self) -> None:
        """Try nothing again and end requests within ten seconds from now on; for signal handlers too."""
        self._is_hurried = True
        self._deadline.hurry(_GRACE_S)

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
        """Get one page; try again after a connection error, a 429 or a 5xx, once after an unusable answer."""
        import tenacity

        httpx = _httpx()

        retrying = tenacity.Retrying(
            sleep=self._sleep,
            stop=self._is_enough,
            wait=_wait,
            retry=tenacity.retry_if_exception_type(
                (httpx.TransportError, httpx.DecodingError, _TransientAnswerError, _UnusableAnswerError)
            ),
            before_sleep=lambda state: _log.info(
                "Phoenix did not answer %s, trying again: %s",
                path,
                state.outcome and state.outcome.exception(),
            ),
            reraise=True,
        )
        query = httpx.QueryParams(list(parameters))
        try:
            return retrying(self._get_once, path, query)
        except _TransientAnswerError as error:
            is_failed = error.response.status_code == httpx.codes.INTERNAL_SERVER_ERROR
            raised = ServerFailedError if is_failed else SourceError
            raise raised(self._refused(error.response)) from error
        except httpx.TimeoutException as error:
            if self._is_hurried:
                raise SourceError(f"Phoenix at {self.url} did not answer after the stop ({path})") from error
            raise SourceError(
                f"Phoenix at {self.url} did not answer within {self._settings.timeout_s:g} s ({path}); "
                "it may be busy: try again, or give it more time with KAIZEN_PHOENIX_TIMEOUT"
            ) from error
        # The last two are for hosts that cannot be.
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise SourceError(
                f"cannot reach Phoenix at {self.url} ({error}); {_unreachable_advice(error)}"
            ) from error

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        # In naps, since all that a signal handler can do is to set a flag.
        while not self._is_hurried and (left_s := until - time.monotonic()) > 0:
            time.sleep(min(left_s, 0.2))

    def _is_enough(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        most = _ATTEMPTS_IF_UNUSABLE if isinstance(error, _UnusableAnswerError) else _ATTEMPTS
        return self._is_hurried or state.attempt_number >= most

    def _get_once(self, path: str, query: httpx.QueryParams) -> Page:
        httpx = _httpx()
        with self._lock:
            client = self._client = self._client or connected(self._settings, self._deadline)
            self.requests += 1
        self.admit()
        # Phoenix is one CPU-bound process: more at a time would only wait there.
        with self._in_flight:
            response = client.get(self.url + path, params=query)
        self.server_version = response.headers.get("x-phoenix-server-version", self.server_version)
        if response.status_code in _TRANSIENT:
            raise _TransientAnswerError(response)
        if response.status_code == httpx.codes.NOT_FOUND:
            raise SourceError(self._refused(response), is_nothing_there=True)
        if response.status_code != httpx.codes.OK:
            raise SourceError(self._refused(response))
        if "json" not in response.headers.get("content-type", ""):
            # Phoenix answers so where it knows no such path.
            raise _UnusableAnswerError(
                self.unexpected(path, response.headers.get("content-type") or "no content type"),
                is_nothing_there=True,
            )
        try:
            answer = response.json()
        except (ValueError, RecursionError) as error:
            raise _UnusableAnswerError(self.unexpected(path, "broken JSON")) from error
        if not isinstance(answer, dict):
            raise _UnusableAnswerError(self.unexpected(path, type(answer).__name__))
        data = answer.get("data")
        if not isinstance(data, list):
            raise _UnusableAnswerError(self.unexpected(path, "no page of data"))
        return Page(data, len(response.content), str(answer.get("next_cursor") or ""))

    def _refused(self, response: httpx.Response) -> str:
        said = " ".join(Redactor().text(response.text[:_SAID_CHARS]).split())[:200]
        if response.has_redirect_location:
            said = f"a redirect to {Redactor().text(response.headers['location'])[:200]}"
        advice = {
            401: "set PHOENIX_API_KEY to a valid key",
            403: "the key in PHOENIX_API_KEY may not read this project",
            404: "check --url; the project may have been deleted meanwhile",
            422: "the server may be of a version that Kaizen does not know; run `kaizen doctor`",
            429: "Phoenix is refusing so many requests; try again later",
        }.get(
            response.status_code,
            "name the server itself with --url"
            if response.has_redirect_location
            else "look at the server's log, then try again",
        )
        return f"Phoenix at {self.url} answered {response.status_code} ({said or 'no text'}): {advice}"

    def unexpected(self, path: str, what: str) -> str:
        """Return the message about an answer that does not come from Phoenix."""
        version = self.server_version or "unknown"
        return (
            f"{self.url}{path} answered with {what} where JSON of Phoenix's REST API was expected; check "
            f"that --url names a Phoenix server of version {OLDEST_SERVER} or newer (this one: {version})"
        )


def connected(settings: PhoenixSettings, deadline: Deadline | None = None) -> httpx.Client:
    """Return an HTTP client for that server, which connects when it is first used.

    Each of its requests is ended at its time limit as a whole.
    """
    client: httpx.Client = _httpx().Client(
        base_url=settings.base_url,
        headers=dict(settings.headers),
        # A server that does not accept within seconds will not do so later.
        timeout=_httpx().Timeout(settings.timeout_s, connect=min(5.0, settings.timeout_s)),
        # No proxy reaches the Phoenix of this machine, whatever the environment names.
        trust_env=not _is_local(settings.base_url),
        verify=_certificates(settings),
    )
    (deadline or Deadline()).apply(client)
    return client


class _UnusableAnswerError(SourceError):
    """An answer that is not Phoenix's, perhaps that of a proxy."""


class _TransientAnswerError(Exception):
    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    headers = error.response.headers if isinstance(error, _TransientAnswerError) else {}
    return wait_s(
        state,
        headers.get("retry-after"),
        longest_asked_s=_LONGEST_WAIT_S,
        first_s=0.2,
        longest_s=5.0,
        jitter_s=0.2,
    )


def _is_local(url: str) -> bool:
    from urllib.parse import urlsplit

    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def _httpx() -> ModuleType:
    """Import httpx without its command line, which takes half of the time: rich, click and pygments."""
    command = "httpx._main"
    if "httpx" not in sys.modules and command not in sys.modules:
        # httpx takes what cannot be imported for an extra that is not installed.
        sys.modules[command] = None  # type: ignore[assignment]
        try:
            import httpx
        finally:
            del sys.modules[command]
    import httpx

    return httpx


def _certificates(settings: PhoenixSettings) -> ssl.SSLContext | bool:
    """Return whom to trust; without encryption no certificates are loaded, which takes a while."""
    if not settings.base_url.lower().startswith("https:"):
        return False
    if not settings.ca_file:
        return True
    import ssl

    try:
        return ssl.create_default_context(
            cafile=None if os.path.isdir(settings.ca_file) else settings.ca_file,
            capath=settings.ca_file if os.path.isdir(settings.ca_file) else None,
        )
    except (OSError, ValueError) as error:
        raise SourceError(
            f"the certificates in '{settings.ca_file}' cannot be read ({error}); name a file in PEM format "
            "with KAIZEN_PHOENIX_CA or SSL_CERT_FILE"
        ) from error


def _unreachable_advice(error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "name the certificate of its authority with KAIZEN_PHOENIX_CA"
    return "start it with `phoenix serve`, or say where it is with --url or PHOENIX_URL"
