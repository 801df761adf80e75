"""What `kaizen.sync` exports, and that nothing is loaded before it is used."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import kaizen.sync
import kaizen.sync.sources

if TYPE_CHECKING:
    from types import ModuleType


@pytest.mark.parametrize("package", [kaizen.sync, kaizen.sync.sources], ids=lambda package: package.__name__)
def test_every_exported_name_can_be_imported(package: ModuleType) -> None:
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert dir(package) == sorted(package.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # noqa: B018


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_else() -> None:
    loaded = loaded_by("import kaizen.sync")
    ours = {name for name in loaded if name.startswith("kaizen")}
    assert ours == {"kaizen", "kaizen.sync", "kaizen.sync.__about__"}


def test_the_sync_itself_loads_nothing_heavy() -> None:
    loaded = loaded_by("from kaizen.sync import PhoenixSource, Sync, SyncSettings, sync_status, undo_run")
    heavy = {"litellm", "phoenix", "openai", "numpy", "pandas", "httpx", "tenacity"}
    assert not heavy & {name.partition(".")[0] for name in loaded}
