"""The right tips in front of an agent's next run. Names load when first used.

from kaizen.recall import recall

recalled = recall("Cancel order #W77", tools=["get_order", "cancel_order"])
recalled.text                     # for the end of the system prompt; "" where nothing fits
recalled.notes["cancel_order"]    # for the end of that tool's description
with recalled.applied():
    ...                           # spans say which tips were shown
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kaizen.recall.choosing import Budget, Candidate, Request, consider
    from kaizen.recall.context import no_recall
    from kaizen.recall.explaining import shared_words
    from kaizen.recall.frameworks import enable_recall
    from kaizen.recall.model import ServedTip, Snapshot
    from kaizen.recall.placing import block, note
    from kaizen.recall.recalled import Recalled, recall_from
    from kaizen.recall.recalling import arecall, recall
    from kaizen.recall.snapshots.document import read_document, read_served_tip
    from kaizen.recall.tools import offered_tools

__all__ = [
    "Budget",
    "Candidate",
    "Recalled",
    "Request",
    "ServedTip",
    "Snapshot",
    "arecall",
    "block",
    "consider",
    "enable_recall",
    "no_recall",
    "note",
    "offered_tools",
    "read_document",
    "read_served_tip",
    "recall",
    "recall_from",
    "shared_words",
]

_MODULE_OF = {
    "Budget": "choosing",
    "Candidate": "choosing",
    "Recalled": "recalled",
    "Request": "choosing",
    "ServedTip": "model",
    "Snapshot": "model",
    "arecall": "recalling",
    "block": "placing",
    "consider": "choosing",
    "enable_recall": "frameworks",
    "no_recall": "context",
    "note": "placing",
    "offered_tools": "tools",
    "read_document": "snapshots.document",
    "read_served_tip": "snapshots.document",
    "recall": "recalling",
    "recall_from": "recalled",
    "shared_words": "explaining",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


if os.environ.get("KAIZEN_RECALL_ENABLED", "").strip().lower() in ("true", "1", "yes", "on"):
    from kaizen.recall.frameworks import enable_recall

    enable_recall()
