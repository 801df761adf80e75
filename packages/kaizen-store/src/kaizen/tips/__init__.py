"""What a tip is, and how tips are checked, merged, reviewed and written down. Names load when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kaizen.tips.checks import GUIDELINE, InvalidTipError, check_tip
    from kaizen.tips.reading import migrate_tips, read_tip, read_tips
    from kaizen.tips.tip import (
        CATEGORIES,
        SCHEMA_VERSION,
        STATUSES,
        Category,
        Status,
        StoredTip,
        Tip,
        TipSource,
        manual_tip,
    )

__all__ = ["CATEGORIES", "GUIDELINE", "SCHEMA_VERSION", "STATUSES", "Category", "InvalidTipError", "Status"]
__all__ += [
    "StoredTip",
    "Tip",
    "TipSource",
    "check_tip",
    "manual_tip",
    "migrate_tips",
    "read_tip",
    "read_tips",
]

_CHECKS = ("GUIDELINE", "InvalidTipError", "check_tip")
_READING = ("migrate_tips", "read_tip", "read_tips")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "checks" if name in _CHECKS else "reading" if name in _READING else "tip"
    return getattr(import_module(f"{__name__}.{module}"), name)
