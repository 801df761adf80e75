"""What the pages about the store show works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kaizen.store import Put, StoreSettings, open_store
from tests.support.slow import SLOW

ROOT = Path(__file__).parents[2]
README = ROOT / "packages" / "kaizen-store" / "README.md"
EXPLANATION = ROOT / "docs" / "explanation" / "store.md"
GUIDE = ROOT / "docs" / "guides" / "writing-a-backend.md"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def test_the_example_runs_twice_and_keeps_its_history(tmp_path: Path) -> None:
    example = blocks(README, "python")[0]
    for runs in (1, 2):
        done = subprocess.run(
            [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        first, *history = done.stdout.splitlines()
        assert first.startswith(f"retry {2 * runs} Retry a 429")
        *history, hit = history
        assert len(history) == 2 * runs
        assert hit.endswith(" Retry a 429 after its Retry-After. Give up after five.")


@pytest.mark.skipif(not SLOW, reason="a run of pytest; CI sets KAIZEN_TEST_SLOW=true")
def test_the_contract_is_used_as_shown(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(blocks(GUIDE, "python")[1])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "same_again or filtered", "test_mine.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_commands_for_reading_a_journal_by_hand_work(tmp_path: Path) -> None:
    with open_store(StoreSettings(backend="filesystem", data_dir=tmp_path)) as store:
        store.create_namespace("kaizen")
        store.commit("kaizen", [Put(id="retry", type="guideline", content="Retry.")])
    (commands,) = blocks(EXPLANATION, "sh")
    environ = {**os.environ, "KAIZEN_DATA_DIR": str(tmp_path)}
    for command in commands.splitlines():
        done = subprocess.run(["sh", "-c", command], env=environ, capture_output=True, text=True, check=True)
        assert done.stdout.strip()
        assert not done.stderr


def test_the_journal_shown_is_one_that_is_read(tmp_path: Path) -> None:
    (journal,) = blocks(EXPLANATION, "json")
    (tmp_path / "namespaces").mkdir()
    (tmp_path / "namespaces" / "kaizen.jsonl").write_text(journal)
    with open_store(StoreSettings(backend="filesystem", data_dir=tmp_path)) as store:
        assert [commit.version for commit in store.history("kaizen", "retry")] == [1, 2]
        assert store.count("kaizen") == 0


@pytest.mark.parametrize("page", [README, EXPLANATION, GUIDE], ids=lambda page: page.name)
def test_links_lead_to_pages(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_nothing_says_to_install_what_strangers_may_own() -> None:
    """The index has other people's programs under these names, so only a path to a package is said."""
    pages = [README, EXPLANATION, GUIDE, *(ROOT / "packages" / "kaizen-store" / "src").rglob("*.py")]
    for page in pages:
        assert not re.search(
            r"pip install[^\n`]*(?<!packages/)\bkaizen-", page.read_text(encoding="utf-8")
        ), page
