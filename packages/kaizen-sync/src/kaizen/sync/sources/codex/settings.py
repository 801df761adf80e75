"""Which project of Codex to read, and where it keeps its sessions."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from kaizen.sync.sources.files.settings import DirectorySettings


class CodexSettings(DirectorySettings):
    """Say which project of Codex to read: the directory that it worked in."""

    codex_dir: str = Field(
        default="~/.codex",
        validation_alias="CODEX_HOME",
        description="where Codex keeps its sessions (`--codex-dir`)",
        json_schema_extra={"option": "--codex-dir"},
    )

    def sessions_dirs(self) -> list[Path]:
        base = Path(self.codex_dir).expanduser()
        return [base / name for name in ("sessions", "archived_sessions")]
