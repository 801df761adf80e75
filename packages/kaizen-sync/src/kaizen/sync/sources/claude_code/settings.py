"""Which project of Claude Code to read, and where it keeps its sessions."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import Field

from kaizen.sync.sources.files.settings import DirectorySettings


class ClaudeCodeSettings(DirectorySettings):
    """Say which project of Claude Code to read: the directory that it was started in."""

    claude_dir: str = Field(
        default="~/.claude",
        validation_alias="CLAUDE_CONFIG_DIR",
        description="where Claude Code keeps its sessions (`--claude-dir`)",
        json_schema_extra={"option": "--claude-dir"},
    )

    def sessions_dirs(self) -> list[Path]:
        """Return the directories that may hold the sessions of the project: its path may lead over links."""
        spellings = dict.fromkeys((self.project, os.path.realpath(self.project)))
        base = Path(self.claude_dir).expanduser() / "projects"
        return [base / re.sub("[^A-Za-z0-9]", "-", spelling) for spelling in spellings]
