"""The order of the packages and of their rooms: data goes down, calls go down, and no import climbs back."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGES = Path(__file__).parents[1] / "packages"
MOST_MODULES = 15
DUNDERS = {"__init__", "__about__", "__main__"}

# What each package may import of the others; kaizen.auto and kaizen.recall are for agents.
MAY_IMPORT = {
    # only if a variable asks for it
    "kaizen.auto": {"kaizen.recall"},
    # its import hook, if it is there, and a store that is on the same machine
    "kaizen.recall": {"kaizen.auto", "kaizen.store", "kaizen.tips"},
    "kaizen.store": set[str](),
    "kaizen.tips": {"kaizen.store"},
    "kaizen.sync": {"kaizen.store", "kaizen.tips"},
    "kaizen.cli": {"kaizen.store", "kaizen.tips", "kaizen.sync"},
    "kaizen.frontend": {"kaizen.cli"},
    "kaizen.demo": {"kaizen.store", "kaizen.tips", "kaizen.sync", "kaizen.cli", "kaizen.recall"},
    "kaizen.serve": {"kaizen.store", "kaizen.tips", "kaizen.sync", "kaizen.recall", "kaizen.cli"},
}

# What no module of a package imports at all, not even inside a function.
NEVER = {
    "kaizen.auto": {"pydantic", "litellm", "httpx"},
    "kaizen.recall": {"pydantic", "litellm", "httpx", "numpy"},
    "kaizen.store": {"litellm", "httpx", "typer"},
    "kaizen.tips": {"litellm", "httpx", "typer"},
    "kaizen.sync": {"typer", "rich"},
}

# The rooms of kaizen.sync from the lowest floor up: a room imports from lower floors and from itself. "base"
# are the other modules beside the rooms, which hold values and settings.
FLOORS = (
    ("expressions", "decoding"),
    ("secrets",),
    ("base",),
    ("trajectory", "llm", "proof", "trust"),
    ("sources", "generate", "state"),
    ("outcomes", "knowledge"),
    ("run",),
    ("status", "suggestions", "undo", "runs"),
    ("checkup",),
    ("kaizen.sync",),
    ("testing", "fleet"),
)
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}


class Import(NamedTuple):
    importer: str
    imported: str


def modules() -> dict[str, Path]:
    found = {}
    for root in sorted(PACKAGES.glob("*/src")):
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Every import of every module, also inside functions and for type checking only."""
    known = modules()
    found = []
    for module, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found += [Import(module, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                found += [Import(module, name if name in known else node.module) for name in inner]
    return tuple(found)


def test_the_command_the_demo_and_the_server_use_what_the_other_packages_export() -> None:
    shared = ("kaizen.store", "kaizen.tips", "kaizen.sync", "kaizen.recall")
    programs = ("kaizen.cli", "kaizen.demo", "kaizen.serve")
    # Those of the sources and of the fleet are public too.
    public = (*shared, "kaizen.sync.sources", "kaizen.sync.fleet")
    users = [found for found in imports() if package(found.importer) in programs]
    assert [f for f in users if package(f.imported) in shared and f.imported not in public] == []


def package(module: str) -> str:
    return ".".join(module.split(".")[:2])


def room(module: str) -> str:
    parts = module.split(".")
    if len(parts) == 2:
        return module
    return parts[2] if parts[2] in FLOOR_OF else "base"


def test_a_package_imports_only_those_below_it() -> None:
    climbing = [
        one
        for one in imports()
        if one.imported.startswith("kaizen.")
        and package(one.imported) not in MAY_IMPORT[package(one.importer)] | {package(one.importer)}
    ]
    assert climbing == []


def test_no_package_imports_what_is_not_for_its_machine() -> None:
    forbidden = [
        one for one in imports() if one.imported.partition(".")[0] in NEVER.get(package(one.importer), ())
    ]
    assert forbidden == []


def test_no_call_climbs_back_to_a_room_of_a_higher_floor() -> None:
    climbing = [
        one
        for one in imports()
        if package(one.importer) == package(one.imported) == "kaizen.sync"
        and one.imported != "kaizen.sync.__about__"
        and (here := room(one.importer)) != (there := room(one.imported))
        and FLOOR_OF[there] >= FLOOR_OF[here]
    ]
    assert climbing == []


def test_every_room_of_the_sync_has_its_floor() -> None:
    folders = {path.parent.name for path in (PACKAGES / "kaizen-sync/src/kaizen/sync").glob("*/__init__.py")}
    assert folders <= FLOOR_OF.keys()


def test_only_the_pipeline_knows_the_order_of_the_sync() -> None:
    callers = {one.importer for one in imports() if one.imported == "kaizen.sync.run.pipeline"}
    assert not [module for module in callers if module.startswith("kaizen.sync.")]


def folders() -> list[str]:
    found = {path.parent for path in modules().values()}
    return sorted(str(folder.relative_to(PACKAGES)) for folder in found)


@pytest.mark.parametrize("folder", folders())
def test_a_folder_is_small_enough_to_be_read_at_a_glance(folder: str) -> None:
    names = {path.stem for path in (PACKAGES / folder).glob("*.py")} - DUNDERS
    assert len(names) <= MOST_MODULES
