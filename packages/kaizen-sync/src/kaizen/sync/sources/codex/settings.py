"""Which project of Codex to read, and where it keeps its sessions."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, field_validator

from kaizen.sync.sources.files.settings import IndexSettings


class CodexSettings(IndexSettings):
    """Say which project of Codex to read: the directory that it worked in."""

    project: str = Field(
        default="",
        description="directory of the project whose sessions to read; nothing is read without it",
        json_schema_extra={"option": "--project"},
    )
    codex_dir: str = Field(
        default="~/.codex",
        validation_alias="CODEX_HOME",
        description="where Codex keeps its sessions (`--codex-dir`)",
        json_schema_extra={"option": "--codex-dir"},
    )

    @field_validator("project")
    @classmethod
    def _absolute(cls, value: str) -> str:
        return os.path.abspath(Path(value).expanduser()) if value else ""

    def sessions_dirs(self) -> list[Path]:
        base = Path(self.codex_dir).expanduser()
        return [base / name for name in ("sessions", "archived_sessions")]
