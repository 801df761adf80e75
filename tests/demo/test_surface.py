"""The parts of kaizen-demo that tests of other packages use need nothing but the standard library."""

from __future__ import annotations

import subprocess
import sys

import pytest

IMPORTED = """
import sys
import {module}
names = {{name.partition(".")[0] for name in sys.modules if not name.startswith("_")}}
print(*sorted(names - sys.stdlib_module_names - {{"kaizen"}}))
print(*sorted(n for n in sys.modules if n.startswith("kaizen.") and not n.startswith("kaizen.demo")))
"""


MODULES = ("model_server", "phoenix_server", "world.player", "world.development")


@pytest.mark.parametrize("module", [f"kaizen.demo.{module}" for module in MODULES])
def test_the_servers_and_the_world_import_the_standard_library_only(module: str) -> None:
    code = IMPORTED.format(module=module)
    # -S leaves out what `site` imports by itself, such as hooks of editable installs.
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {paths()!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.split() == []


def paths() -> list[str]:
    """Where kaizen.demo lies."""
    import kaizen.demo

    return [str(path).removesuffix("/kaizen/demo") for path in kaizen.demo.__path__]
