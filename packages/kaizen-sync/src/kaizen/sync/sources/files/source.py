"""Traces in files, followed as they grow."""

from __future__ import annotations

from pathlib import Path

from kaizen.sync.errors import SettingsError
from kaizen.sync.sources.files.indexed import IndexedFiles
from kaizen.sync.sources.files.reader import TraceReader
from kaizen.sync.sources.files.settings import FilesSettings


class FilesSource(IndexedFiles):
    """Read traces from files and store what they teach.

    The files hold OTLP as JSON, a request a line, as the OpenTelemetry Collector and the SDKs write it; what
    Phoenix and OpenInference export as JSON; or chats of OpenAI's messages, one conversation a line or a
    message a line. They may be compressed. Files that grow are followed, and rotated ones known again.

    Example: kaizen sync files ./traces --include-errors
    """

    name = "files"
    settings_type = FilesSettings

    def __init__(self, settings: FilesSettings) -> None:
        if not settings.path:
            raise SettingsError("name the file or directory to read: kaizen sync files PATH")
        project = settings.project or settings.path
        index = settings.index_path(self.name, f"{project}\n{settings.path}")
        super().__init__([Path(settings.path)], index, TraceReader(), project=project)
