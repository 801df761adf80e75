"""Whether what takes long is tested too, as CI does: `KAIZEN_TEST_SLOW=true`, read before it is cleared."""

from __future__ import annotations

import os

import pytest

SLOW = os.environ.get("KAIZEN_TEST_SLOW", "").lower() in ("true", "1", "yes", "on")
SYNC_KILL_ROUNDS = int(os.environ.get("KAIZEN_TEST_KILL_ROUNDS") or ("10" if SLOW else "2"))
KILL_ROUNDS = int(os.environ.get("STORE_CONTRACT_KILL_ROUNDS") or ("10" if SLOW else "3"))

only_where_slow = pytest.mark.skipif(not SLOW, reason="runs with KAIZEN_TEST_SLOW=true, as CI sets it")
"""Marks a test whose like runs always, or that takes seconds; CI runs it."""
