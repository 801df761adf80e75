"""A server that is read over HTTP: JSON answers, retries where they help, errors with advice."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from kaizen.sync.errors import SourceError
from kaizen.sync.llm.retry import wait_s
from kaizen.sync.redact import Redactor
from kaizen.sync.sources.deadline import Deadline

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType

    import httpx
    import tenacity

_log = logging.getLogger(__name__)

_ATTEMPTS = 4
_ATTEMPTS_IF_UNUSABLE = 2  # a proxy's page seldom turns into JSON by waiting
_GRACE_S = 10.0
_IN_FLIGHT = 2
_SAID_CHARS = 10_000  # of an error's text, which may be a page
_LONGEST_WAIT_S = 30.0
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where a server is and how it is asked, and the words in which its errors are told.

    `expected` says what should be at the URL, `start` how to get there, and `advice` what to do about an
    answer, by its status.
    """

    title: str
    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    timeout_s: float
    ca_file: str
    expected: str
    start: str
    advice: Mapping[int, str]

    @property
    def prefix(self) -> str:
        """Return how the variables begin that set the time limit and the certificates."""
        return f"KAIZEN_{self.title.upper()}"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, and how many bytes it took."""

    value: dict[str, Any]
    size: int


class ServerFailedError(SourceError):
    """The server failed to make its answer (500), also when asked again: ask for something else."""


class JsonClient:
    """Asks one server. Safe for threads. Every method raises `SourceError` with what to do about it."""

    def __init__(self, server: Server) -> None:
        self._server = server
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
        return self._server.base_url

    def shared(self) -> Self:
        """Return a client that counts for itself, over the connections of this one, which closes them."""
        other = copy(self)
        with self._lock:
            other._client = self._client = self._client or connected(self._server, self._deadline)
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

    def ask(
        self, path: str, parameters: Sequence[tuple[str, str]] = (), *, body: Mapping[str, Any] | None = None
    ) -> Answer:
        """Get one answer, or post for it if there is a body that asks.

        Tries again after a connection error, a 429 or a 5xx, once after an unusable answer.
        """
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
                "%s did not answer %s, trying again: %s",
                self._server.title,
                path,
                state.outcome and state.outcome.exception(),
            ),
            reraise=True,
        )
        query = httpx.QueryParams(list(parameters))
        try:
            return retrying(self._ask_once, path, query, body)
        except _TransientAnswerError as error:
            is_failed = error.response.status_code == httpx.codes.INTERNAL_SERVER_ERROR
            raised = ServerFailedError if is_failed else SourceError
            raise raised(self._refused(error.response)) from error
        # The last two are for hosts that cannot be.
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise SourceError(self._unanswered(path, error)) from error

    def _unanswered(self, path: str, error: Exception) -> str:
        title, url, prefix = self._server.title, self.url, self._server.prefix
        if not isinstance(error, _httpx().TimeoutException):
            advice = self._server.start
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                advice = f"name the certificate of its authority with {prefix}_CA"
            return f"cannot reach {title} at {url} ({error}); {advice}"
        if self._is_hurried:
            return f"{title} at {url} did not answer after the stop ({path})"
        return (
            f"{title} at {url} did not answer within {self._server.timeout_s:g} s ({path}); "
            f"it may be busy: try again, or give it more time with {prefix}_TIMEOUT"
        )

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        # In naps, since all that a signal handler can do is to set a flag.
        while not self._is_hurried and (left_s := until - time.monotonic()) > 0:
            time.sleep(min(left_s, 0.2))

    def _is_enough(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        most = _ATTEMPTS_IF_UNUSABLE if isinstance(error, _UnusableAnswerError) else _ATTEMPTS
        return self._is_hurried or state.attempt_number >= most

    def _ask_once(self, path: str, query: httpx.QueryParams, body: Mapping[str, Any] | None) -> Answer:
        with self._lock:
            client = self._client = self._client or connected(self._server, self._deadline)
            self.requests += 1
        self.admit()
        # Such servers are busy with one request: more at a time would only wait there.
        with self._in_flight:
            method = "GET" if body is None else "POST"
            response = client.request(method, self.url + path, params=query, json=body)
        self._note(response)
        self._check_status(response)
        return self._answer(path, response)

    def _note(self, response: httpx.Response) -> None:
        """Read off an answer what it tells of the server."""

    def _check_status(self, response: httpx.Response) -> None:
        codes = _httpx().codes
        if response.status_code in _TRANSIENT:
            raise _TransientAnswerError(response)
        if response.status_code != codes.OK:
            is_nothing_there = response.status_code == codes.NOT_FOUND
            raise SourceError(self._refused(response), is_nothing_there=is_nothing_there)

    def _answer(self, path: str, response: httpx.Response) -> Answer:
        if "json" not in response.headers.get("content-type", ""):
            # Servers answer so, with their page, where they know no such path.
            raise _UnusableAnswerError(
                self.unexpected(path, response.headers.get("content-type") or "no content type"),
                is_nothing_there=True,
            )
        try:
            value = response.json()
        except (ValueError, RecursionError) as error:
            raise _UnusableAnswerError(self.unexpected(path, "broken JSON")) from error
        if not isinstance(value, dict):
            raise _UnusableAnswerError(self.unexpected(path, type(value).__name__))
        if missing := self._missing(value):
            raise _UnusableAnswerError(self.unexpected(path, missing))
        return Answer(value, len(response.content))

    def _missing(self, value: dict[str, Any]) -> str:
        """Return what an answer should have been, in words, if anything is missing in it."""
        return ""

    def _refused(self, response: httpx.Response) -> str:
        said = " ".join(Redactor().text(response.text[:_SAID_CHARS]).split())[:200]
        if response.has_redirect_location:
            said = f"a redirect to {Redactor().text(response.headers['location'])[:200]}"
        status, title = response.status_code, self._server.title
        otherwise = (
            "name the server itself with --url"
            if response.has_redirect_location
            else f"{title} is refusing so many requests; try again later"
            if status == _httpx().codes.TOO_MANY_REQUESTS
            else "look at the server's log, then try again"
        )
        advice = self._server.advice.get(status, otherwise)
        return f"{title} at {self.url} answered {status} ({said or 'no text'}): {advice}"

    def unexpected(self, path: str, what: str) -> str:
        """Return the message about an answer that does not come from such a server."""
        version = self.server_version or "unknown"
        return (
            f"{self.url}{path} answered with {what} where JSON of {self._server.title}'s REST API was "
            f"expected; check that --url names {self._server.expected} (this one: {version})"
        )


def connected(server: Server, deadline: Deadline | None = None) -> httpx.Client:
    """Return an HTTP client for that server, which connects when it is first used.

    Each of its requests is ended at its time limit as a whole.
    """
    client: httpx.Client = _httpx().Client(
        base_url=server.base_url,
        headers=dict(server.headers),
        # A server that does not accept within seconds will not do so later.
        timeout=_httpx().Timeout(server.timeout_s, connect=min(5.0, server.timeout_s)),
        # No proxy reaches a server of this machine, whatever the environment names.
        trust_env=not _is_local(server.base_url),
        verify=_certificates(server),
    )
    (deadline or Deadline()).apply(client)
    return client


class _UnusableAnswerError(SourceError):
    """An answer that is not the server's, perhaps that of a proxy."""


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


def _certificates(server: Server) -> ssl.SSLContext | bool:
    """Return whom to trust; without encryption no certificates are loaded, which takes a while."""
    if not server.base_url.lower().startswith("https:"):
        return False
    if not server.ca_file:
        return True
    import ssl

    try:
        return ssl.create_default_context(
            cafile=None if os.path.isdir(server.ca_file) else server.ca_file,
            capath=server.ca_file if os.path.isdir(server.ca_file) else None,
        )
    except (OSError, ValueError) as error:
        raise SourceError(
            f"the certificates in '{server.ca_file}' cannot be read ({error}); name a file in PEM format "
            f"with {server.prefix}_CA or SSL_CERT_FILE"
        ) from error
