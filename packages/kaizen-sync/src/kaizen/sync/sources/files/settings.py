"""Where files are, and where the index of them is kept."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from kaizen.store import EnvironmentSettings
from kaizen.sync.errors import SettingsError


class IndexSettings(EnvironmentSettings):
    """Say where the index of a source is kept."""

    error_type: ClassVar[type[ValueError]] = SettingsError

    cache_dir: str = Field(
        default="~/.cache/kaizen",
        validation_alias="KAIZEN_CACHE_DIR",
        description="where is kept how far sources were read: ids, times and places, no content",
        json_schema_extra={"default": "`~/.cache/kaizen`"},
    )

    def index_path(self, source: str, project: str) -> Path:
        """Return the file of the index of a project."""
        name = hashlib.sha256(project.encode(errors="surrogateescape")).hexdigest()[:16]
        return Path(self.cache_dir).expanduser() / "sources" / f"{source}-{name}.sqlite"


class DirectorySettings(IndexSettings):
    """Say which project of a coding agent to read: the directory that it works in."""

    project: str = Field(
        default="",
        description="directory of the project whose sessions to read; nothing is read without it",
        json_schema_extra={"option": "--project"},
    )

    @field_validator("project")
    @classmethod
    def _absolute(cls, value: str) -> str:
        return os.path.abspath(Path(value).expanduser()) if value else ""


class FilesSettings(IndexSettings):
    """Say which file or directory to read. `project` is the name that its traces go by, else its path."""

    path: str = Field(
        default="",
        validation_alias="KAIZEN_FILES_PATH",
        description="file, or directory with all that is below it",
        json_schema_extra={"argument": "[PATH]"},
    )
    project: str = Field(
        default="",
        description="name that the traces go by, for files that move; the path if it is not given",
        json_schema_extra={"option": "--project"},
    )

    @field_validator("path")
    @classmethod
    def _resolve(cls, value: str) -> str:
        return str(Path(value).expanduser().resolve()) if value else ""
