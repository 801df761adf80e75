"""The variables that recall reads."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kaizen.recall.snapshots.settings import Settings

_YES = ("true", "1", "yes", "on")
_NO = ("false", "0", "no", "off")


def read_settings() -> Settings:
    """Read the environment; a value that makes no sense counts as unset."""
    from kaizen.recall.snapshots.settings import Settings

    return Settings(
        source=os.path.expanduser(_text("KAIZEN_RECALL_FROM")),
        token=_text("KAIZEN_RECALL_TOKEN"),
        namespace_id=_text("KAIZEN_NAMESPACE_ID") or "kaizen",
        timeout_s=_number("KAIZEN_RECALL_TIMEOUT", 0.3, most=60),
        refresh_s=_number("KAIZEN_RECALL_REFRESH", 60, least=0.01),
        max_tokens=int(_number("KAIZEN_RECALL_MAX_TOKENS", 600)),
        holdout=_number("KAIZEN_RECALL_HOLDOUT", 1, most=1),
    )


def is_enabled() -> bool:
    """Return whether recall is to work by itself, in the frameworks."""
    return _text("KAIZEN_RECALL_ENABLED").lower() in _YES


def is_traced() -> bool:
    """Return whether kaizen.auto is to trace the agent."""
    return _text("KAIZEN_AUTO_ENABLED").lower() in _YES


def is_switched_off() -> bool:
    """Return whether the environment forbids recall, also where code asks for it."""
    return _text("KAIZEN_RECALL_ENABLED").lower() in _NO


def _text(name: str) -> str:
    return os.environ.get(name, "").strip()


def _number(name: str, default: float, *, least: float = 0, most: float = 1e9) -> float:
    try:
        number = float(_text(name) or default)
    except ValueError:
        return default
    return number if least <= number <= most else default
