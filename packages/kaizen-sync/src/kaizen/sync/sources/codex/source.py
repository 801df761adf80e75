"""The sessions of one project of Codex, read only."""

from __future__ import annotations

from kaizen.sync.errors import SettingsError, SourceError
from kaizen.sync.sources.codex.rollout import RolloutReader
from kaizen.sync.sources.codex.settings import CodexSettings
from kaizen.sync.sources.files.indexed import IndexedFiles


class CodexSource(IndexedFiles):
    """Read the sessions that Codex keeps of one project and store what they teach.

    Sessions are read with their sub-agents, and not changed. One that goes on is read again, and replaces
    what it taught; one that repeats another, resumed or forked, counts once with it. Of other projects the
    first line is read, which says that they are others.

    Example: kaizen sync codex --project . --include-errors
    """

    name = "codex"
    settings_type = CodexSettings

    def __init__(self, settings: CodexSettings) -> None:
        if not settings.project:
            raise SettingsError("name the project to read: kaizen sync codex --project PATH")
        found = settings.sessions_dirs()
        roots = [path for path in found if path.is_dir()]
        if not roots:
            raise SourceError(f"Codex has no sessions: there is no {found[0]}. Name its home by --codex-dir")
        index = settings.index_path(self.name, f"{settings.project}\n{settings.codex_dir}")
        super().__init__(roots, index, RolloutReader(settings.project), project=settings.project)
