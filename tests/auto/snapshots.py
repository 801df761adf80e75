"""Snapshots for agents under test: files as `kaizen tips export --format recall` writes them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

LOOKUP = "Write the day as 05JAN26: find_trains refuses every other form."
PACKING = "Weigh the luggage before you book."
TOOL_TIP = {
    "id": "tool-tip",
    "revision": 3,
    "content": LOOKUP,
    "tool": "find_trains",
    "tools": {"find_trains": ""},
}
WORD_TIP = {
    "id": "word-tip",
    "revision": 1,
    "content": PACKING,
    "trigger": "A journey with luggage is booked.",
}
# Of which every run is held out.
HELD_OUT_TIP = {**TOOL_TIP, "id": "held-out-tip", "content": "Never search on Sundays.", "p": 1.0}


def document(*tips: dict[str, Any], **fields: Any) -> str:
    """The tips, by default one about a tool and one found by words, as a document."""
    chosen = list(tips or (TOOL_TIP, WORD_TIP))
    canonical = json.dumps(chosen, sort_keys=True, separators=(",", ":"))
    head = {
        "format": "kaizen-recall",
        "schema_version": 1,
        "namespace": "kaizen",
        "digest": hashlib.sha256(canonical.encode()).hexdigest(),
        "control_share": 0,
    }
    return json.dumps({**head, "tips": chosen, **fields})


def write_snapshot(path: Path, *tips: dict[str, Any], **fields: Any) -> Path:
    """Write such a document, and return its path."""
    path.write_text(document(*tips, **fields))
    return path
