"""What a tip is, and how tips are checked, merged, reviewed and written down. Names load when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kaizen.tips.changes import deletion_of, recount_tips, revert_tips, tip_changes
    from kaizen.tips.checks import GUIDELINE, InvalidTipError, check_tip
    from kaizen.tips.effect import current_effect, is_pinned, pin_tips, served_tools
    from kaizen.tips.evidence import EVIDENCE, StoredSource, TipSource
    from kaizen.tips.instructions import replace_block, tips_block
    from kaizen.tips.markdown import TipsPage
    from kaizen.tips.reading import migrate_tips, newest_evidence, read_evidence, read_tip, read_tips
    from kaizen.tips.review import ReviewDecision, check_revision, decide, edit_tip, quarantined, retire_tips
    from kaizen.tips.serving import recall_document, served_tip, served_tips
    from kaizen.tips.text import one_line, printable
    from kaizen.tips.tip import (
        CATEGORIES,
        SCHEMA_VERSION,
        STATUSES,
        Category,
        Status,
        StoredTip,
        Tip,
        manual_tip,
    )

__all__ = [
    "CATEGORIES",
    "EVIDENCE",
    "GUIDELINE",
    "SCHEMA_VERSION",
    "STATUSES",
    "Category",
    "InvalidTipError",
    "ReviewDecision",
    "Status",
    "StoredSource",
    "StoredTip",
    "Tip",
    "TipSource",
    "TipsPage",
    "check_revision",
    "check_tip",
    "current_effect",
    "decide",
    "deletion_of",
    "edit_tip",
    "is_pinned",
    "manual_tip",
    "migrate_tips",
    "newest_evidence",
    "one_line",
    "pin_tips",
    "printable",
    "quarantined",
    "read_evidence",
    "read_tip",
    "read_tips",
    "recall_document",
    "recount_tips",
    "replace_block",
    "retire_tips",
    "revert_tips",
    "served_tip",
    "served_tips",
    "served_tools",
    "tip_changes",
    "tips_block",
]

_NAMES = {
    "changes": "deletion_of recount_tips revert_tips tip_changes",
    "checks": "GUIDELINE InvalidTipError check_tip",
    "effect": "current_effect is_pinned pin_tips served_tools",
    "instructions": "replace_block tips_block",
    "evidence": "EVIDENCE StoredSource TipSource",
    "markdown": "TipsPage",
    "reading": "migrate_tips newest_evidence read_evidence read_tip read_tips",
    "review": "ReviewDecision check_revision decide edit_tip quarantined retire_tips",
    "serving": "recall_document served_tip served_tips",
    "text": "one_line printable",
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF.get(name, 'tip')}"), name)
