"""Why one trace failed, where an error says something about that trace alone."""

from __future__ import annotations

import logging

from kaizen.store import InvalidInputError, StoreError
from kaizen.sync.errors import SourceError, SyncError

_log = logging.getLogger(__name__)


def failure_reason(error: Exception, trace_id: str) -> str:
    """Return why the trace failed; log what nobody foresaw.

    Raises the error again if the store or the source is gone, which ends the run.
    """
    # What a store refuses as invalid comes from the trace, or from an answer about it.
    if isinstance(error, StoreError | SourceError) and not isinstance(error, InvalidInputError):
        raise error
    if isinstance(error, SyncError):
        return str(error)
    _log.error("trace %s failed", trace_id, exc_info=error)
    return f"internal error: {error!r}"
