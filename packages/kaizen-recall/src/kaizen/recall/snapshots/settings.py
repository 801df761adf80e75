"""What recall is set to. Apart from what reads it: `typing` takes longer to import than that."""

from __future__ import annotations

from typing import NamedTuple


class Settings(NamedTuple):
    """Where tips come from, how many are shown, and how long a run may wait for the first of them."""

    source: str
    """A store (directory or URL), a file, or `http(s)://`; empty for the store of this machine."""
    token: str
    namespace_id: str
    timeout_s: float
    refresh_s: float
    max_tokens: int
    holdout: float
    """The greatest share of runs that any tip may be held out from; 0 ends the experiment."""
