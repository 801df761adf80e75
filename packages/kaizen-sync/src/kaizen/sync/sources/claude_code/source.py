"""The sessions of one project of Claude Code, read only."""

from __future__ import annotations

from kaizen.sync.errors import SettingsError, SourceError
from kaizen.sync.sources.claude_code.settings import ClaudeCodeSettings
from kaizen.sync.sources.claude_code.transcript import SessionReader
from kaizen.sync.sources.files.indexed import IndexedFiles


class ClaudeCodeSource(IndexedFiles):
    """Read the sessions that Claude Code keeps of one project and store what they teach.

    Sessions are read with their sub-agents, and not changed. One that goes on is read again, and replaces
    what it taught; one that repeats another, resumed or forked, counts once with it. No other project is
    read.

    Example: kaizen sync claude-code --project . --include-errors
    """

    name = "claude-code"
    settings_type = ClaudeCodeSettings

    def __init__(self, settings: ClaudeCodeSettings) -> None:
        if not settings.project:
            raise SettingsError("name the project to read: kaizen sync claude-code --project PATH")
        found = settings.sessions_dirs()
        roots = [path for path in found if path.is_dir()]
        if not roots:
            raise SourceError(
                f"Claude Code has no sessions of {settings.project}: there is no {found[0]}. "
                "Name the directory that it was started in, or --claude-dir"
            )
        index = settings.index_path(self.name, f"{settings.project}\n{settings.claude_dir}")
        super().__init__(roots, index, SessionReader(settings.project), project=settings.project)
