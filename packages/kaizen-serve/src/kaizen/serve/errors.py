"""What the server raises by itself."""

from __future__ import annotations

from kaizen.store import StoreError


class ServeError(StoreError):
    """A request cannot be answered as it is; `status` is that of HTTP."""

    status = 500


class BusyError(ServeError):
    """It takes too long now: try again later."""

    status = 503


class UnauthorizedError(ServeError):
    """A token is needed, or the one that was sent is not known."""

    status = 401


class ForbiddenError(ServeError):
    """The caller is known and may not do this."""

    status = 403


class TooManyError(ServeError):
    """Too many attempts with wrong tokens."""

    status = 429
