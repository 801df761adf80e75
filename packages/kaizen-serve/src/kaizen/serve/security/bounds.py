"""Take on no more of a request than its bounds: the length of its address, the size of its body, its time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import Request

from kaizen.serve.answers import answer_error
from kaizen.serve.errors import ServeError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_URL = 16_000
MOST_BODY = 1_000_000
BODY_TIMEOUT_S = 10.0


class TooLongError(ServeError):
    """The address has too many characters."""

    status = 414


class TooLargeError(ServeError):
    """The body has too many bytes."""

    status = 413


class TooSlowError(ServeError):
    """The body does not arrive."""

    status = 408


class Bounds:
    """Read the whole body before anything else happens, and give it to whoever asks for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            if len(scope["raw_path"]) + len(scope["query_string"]) > MOST_URL:
                raise TooLongError(f"an address has at most {MOST_URL:,} characters")
            body = await _read(Request(scope), receive)
        except ServeError as error:
            await answer_error(Request(scope), error)(scope, receive, send)
            return
        # Also for who checks a form before it is answered.
        scope.setdefault("state", {})["body"] = body
        await self._app(scope, _Replay(body, receive), send)


async def _read(request: Request, receive: Receive) -> bytes:
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > MOST_BODY:
        raise TooLargeError(f"a body has at most {MOST_BODY:,} bytes")
    if length == "0" and "transfer-encoding" not in request.headers:
        return b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await _read_whole(receive)
    except TimeoutError as error:
        raise TooSlowError(f"the body did not arrive within {BODY_TIMEOUT_S:g} s") from error


async def _read_whole(receive: Receive) -> bytes:
    parts, size, is_more = [], 0, True
    while is_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise TooSlowError("the body was cut off")
        part = message.get("body", b"")
        size += len(part)
        if size > MOST_BODY:
            raise TooLargeError(f"a body has at most {MOST_BODY:,} bytes")
        parts.append(part)
        is_more = message.get("more_body", False)
    return b"".join(parts)


class _Replay:
    """Give the body as one message, then what the server says."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        return await self._receive()
