"""Sources found by name."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points

import pytest

from kaizen.sync import SettingsError, SourceError
from kaizen.sync.sources import registry
from kaizen.sync.sources.phoenix.source import PhoenixSource
from tests.support.listed import ListedSource

OURS = ["claude-code", "codex", "files", "langfuse", "mlflow", "phoenix"]


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source of somebody else, and one that is broken, are registered beside ours."""
    found = [
        *entry_points(group=registry.GROUP),
        EntryPoint("listed", "tests.support.listed:ListedSource", registry.GROUP),
        EntryPoint("broken", "no_such_package.source:Source", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda *, group: found)


def test_our_own_source_is_registered_like_any_other() -> None:
    (phoenix,) = entry_points(group="kaizen.sync.sources", name="phoenix")

    assert phoenix.load() is registry.find_source("phoenix") is PhoenixSource
    assert registry.available_sources() == OURS
    assert {entry_point.name for entry_point in entry_points(group=registry.GROUP)} == set(OURS)


def test_a_source_of_somebody_else_is_found_by_its_name(others: None) -> None:
    assert registry.available_sources() == sorted(["broken", "listed", *OURS])
    assert registry.find_source("listed") is ListedSource


def test_a_source_that_is_not_there_or_does_not_import_is_named(others: None) -> None:
    names = ", ".join(sorted(["broken", "listed", *OURS]))
    with pytest.raises(SettingsError, match=f"unknown source 'nowhere'; installed are: {names}. Another one"):
        registry.find_source("nowhere")
    with pytest.raises(SourceError, match="source 'broken' does not import"):
        registry.find_source("broken")


def test_the_protocol_of_a_source_imports_nothing_else_of_the_sync() -> None:
    script = (
        "import sys, kaizen.sync\n"
        "before = set(sys.modules)\n"
        "import kaizen.sync.sources.base\n"
        "print(*sorted(m for m in set(sys.modules) - before if m.startswith('kaizen')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )

    assert done.stdout.split() == ["kaizen.sync.sources", "kaizen.sync.sources.base"]
