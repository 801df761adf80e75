"""The environment of the oldest versions has the oldest that kaizen-auto admits."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


def test_the_oldest_environment_pins_the_lower_bounds() -> None:
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text())
    package = tomllib.loads((ROOT / "packages/kaizen-auto/pyproject.toml").read_text())
    pinned = {
        requirement.name: next(iter(requirement.specifier)).version
        for requirement in map(Requirement, workspace["tool"]["hatch"]["envs"]["oldest"]["dependencies"])
    }
    for requirement in map(Requirement, package["project"]["dependencies"]):
        if requirement.name.startswith(("arize-", "openinference-instrumentation-")):
            (lowest,) = [one.version for one in requirement.specifier if one.operator == ">="]
            assert Requirement(f"x=={lowest}").specifier.contains(pinned[requirement.name]), requirement
