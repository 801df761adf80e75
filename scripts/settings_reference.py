"""The tables of docs/reference/settings.md, written from the settings classes between their markers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from kaizen.cli.settings import CliSettings
from kaizen.serve import ServeSettings
from kaizen.store import EnvironmentSettings, StoreSettings
from kaizen.sync import ModelSettings, OutcomeSettings, PhoenixSettings
from kaizen.sync.settings import RedactionSettings
from kaizen.sync.sources.claude_code.settings import ClaudeCodeSettings
from kaizen.sync.sources.codex.settings import CodexSettings
from kaizen.sync.sources.files.settings import FilesSettings
from kaizen.sync.sources.langfuse.settings import LangfuseSettings
from kaizen.sync.sources.mlflow.settings import MlflowSettings

TARGET = Path(__file__).resolve().parent.parent / "docs/reference/settings.md"

CLASSES: tuple[type[EnvironmentSettings], ...] = (
    PhoenixSettings,
    FilesSettings,
    ClaudeCodeSettings,
    CodexSettings,
    MlflowSettings,
    LangfuseSettings,
    ModelSettings,
    RedactionSettings,
    OutcomeSettings,
    StoreSettings,
    ServeSettings,
    CliSettings,
)


def settings_page(text: str) -> str:
    """Return the page with its tables as the classes say them now; raise ValueError for a missing marker."""
    for settings in CLASSES:
        begin, end = f"<!-- {settings.__name__}: written by `hatch run docs` -->", "<!-- end -->"
        table = "\n".join([begin, *rows(settings), end])
        text, count = re.subn(f"{re.escape(begin)}.*?{end}", lambda _, t=table: t, text, flags=re.DOTALL)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"{TARGET} lacks the marker {begin}")
    return text


def rows(settings: type[EnvironmentSettings]) -> list[str]:
    """Return a Markdown table with one row for each field that a variable sets."""
    lines = ["", "| variable | default | what |", "|---|---|---|"]
    for name, (first, *others) in ((n, v) for n, v in settings.variables().items() if v):
        field = settings.model_fields[name]
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        default = str(extra.get("default") or shown(field.get_default(call_default_factory=True)))
        instead = ", ".join(f"`{variable}`" for variable in others)
        default = ", then ".join(filter(None, [instead, default]))
        lines.append(f"| `{first}` | {default} | {field.description} |")
    return [*lines, ""]


def shown(value: Any) -> str:
    """Return a default as one writes it in a variable."""
    if isinstance(value, tuple):
        return ", ".join(f"`{part}`" for part in value)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`" if value else ""
