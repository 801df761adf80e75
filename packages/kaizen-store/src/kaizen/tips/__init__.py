"""What a tip is, and how tips are checked, merged, reviewed and written down. Names load when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kaizen.tips.checks import GUIDELINE, InvalidTipError, check_tip
    from kaizen.tips.effect import pin_tips
    from kaizen.tips.instructions import replace_block, tips_block
    from kaizen.tips.markdown import TipsPage
    from kaizen.tips.reading import migrate_tips, read_tip, read_tips
    from kaizen.tips.review import ReviewDecision, decide, edit_tip, quarantined, retire_tips
    from kaizen.tips.serving import recall_document, served_tips
    from kaizen.tips.text import one_line, printable
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

__all__ = [
    "CATEGORIES",
    "GUIDELINE",
    "SCHEMA_VERSION",
    "STATUSES",
    "Category",
    "InvalidTipError",
    "ReviewDecision",
    "Status",
    "StoredTip",
    "Tip",
    "TipSource",
    "TipsPage",
    "check_tip",
    "decide",
    "edit_tip",
    "manual_tip",
    "migrate_tips",
    "one_line",
    "pin_tips",
    "printable",
    "quarantined",
    "read_tip",
    "read_tips",
    "recall_document",
    "replace_block",
    "retire_tips",
    "served_tips",
    "tips_block",
]

_NAMES = {
    "checks": "GUIDELINE InvalidTipError check_tip",
    "effect": "pin_tips",
    "instructions": "replace_block tips_block",
    "markdown": "TipsPage",
    "reading": "migrate_tips read_tip read_tips",
    "review": "ReviewDecision decide edit_tip quarantined retire_tips",
    "serving": "recall_document served_tips",
    "text": "one_line printable",
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF.get(name, 'tip')}"), name)
