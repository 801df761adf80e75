"""What callers and authors of backends may import, and what that costs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import kaizen.store
from kaizen.store import backend, testing

ROOT = Path(__file__).parents[2]
PACKAGE = Path(kaizen.store.__file__).parent
HEAVY = {"numpy", "psycopg", "pydantic", "sqlite3", "tokenizers"}


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_else_of_it_and_nothing_heavy() -> None:
    loaded = loaded_by("import kaizen.store")
    assert {name for name in loaded if name.startswith("kaizen")} == {"kaizen", "kaizen.store"}
    assert not loaded & HEAVY


def test_importing_what_a_backend_needs_loads_no_driver_and_no_numpy() -> None:
    assert not loaded_by("import kaizen.store.backend") & (HEAVY - {"sqlite3"})


@pytest.mark.parametrize("module", [kaizen.store, backend], ids=lambda module: module.__name__)
def test_each_exported_name_is_there_and_documented(module: object) -> None:
    names: list[str] = module.__all__  # type: ignore[attr-defined]
    assert names == sorted(set(names))
    assert set(names) <= set(dir(module))
    for name in names:
        value = getattr(module, name)
        if callable(value) and getattr(value, "__module__", "").startswith("kaizen"):
            assert value.__doc__, name


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sqlite'"):
        kaizen.store.Sqlite  # noqa: B018
    assert not hasattr(kaizen.store, "SqliteStore")


@pytest.mark.parametrize(
    "page",
    [
        "examples/own_backend/bucket_store.py",
        "docs/guides/writing-a-backend.md",
        "packages/kaizen-store/README.md",
    ],
)
def test_what_people_copy_imports_only_the_surface(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for module, names in re.findall(r"^from (kaizen\.store[\w.]*) import (.+)$", text, re.MULTILINE):
        exported = {each.__name__: each.__all__ for each in (kaizen.store, backend, testing)}[module]
        assert set(names.split(", ")) <= {"backend", *exported}
    for name in re.findall(r"(?<![-\w])backend\.(?!md\b)(\w+)", text):
        assert name in backend.__all__, name


def test_other_packages_import_only_the_surface() -> None:
    inner = re.compile(r"^\s*(?:from|import) kaizen\.store\.(?!backend\b|testing\b)", re.MULTILINE)
    sources = [
        *ROOT.glob("packages/*/src/**/*.py"),
        *ROOT.glob("benchmarks/*.py"),
        *ROOT.glob("examples/**/*.py"),
    ]
    inside = [
        str(path.relative_to(ROOT))
        for path in sources
        if PACKAGE not in path.parents and inner.search(path.read_text(encoding="utf-8"))
    ]
    assert inside == []


def test_no_folder_is_too_long_to_look_through() -> None:
    for folder in (PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir())):
        modules = [path.name for path in folder.glob("*.py") if not path.name.startswith("__")]
        assert len(modules) <= 15, (folder, modules)
