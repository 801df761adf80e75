"""The documentation says what is so: its commands parse, its Python resolves, its links lead somewhere."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from kaizen.cli.app import app
from scripts import reference, settings_reference
from tests.support.command import kaizen

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("packages/*/README.md"))
    if path.is_file()
)
GUIDES = ("README.md", "docs/guides/low-code-tracing.md", "packages/kaizen-cli/README.md")

# What is installed by name from an index, and by file from the checkout.
INSTALLABLE = {
    "arize-phoenix",
    "arize-phoenix-client",
}
# Variables of others, and what stands for any provider's.
FOREIGN_VARIABLES = {"OPENAI_API_KEY", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    found: list[str] = re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return found


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


SHELL = [
    pytest.param(name(page), line, id=f"{name(page)}: {line}")
    for page in PAGES
    # what it shows of a journal's file is run by tests/store/test_docs.py
    if name(page) != "docs/explanation/store.md"
    for block in blocks(page, "sh")
    for line in block.splitlines()
    if line.strip()
]
PYTHON = [
    pytest.param(block, id=f"{name(page)}: {number}")
    for page in PAGES
    for number, block in enumerate(blocks(page, "python"))
]


# Shell


def check_kaizen(words: list[str]) -> None:
    command, context = typer.main.get_command(app), None
    # a group may have options of its own
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        context = command.make_context("kaizen", [words[0]], parent=context)
        command, words = command.commands[words[0]], words[1:]
    command.make_context(command.name, list(words), parent=context)


def check_python(words: list[str]) -> None:
    if words[0] != "-m":
        assert (ROOT / words[0]).is_file(), words[0]
    elif words[1].startswith("kaizen.") and words[1] not in ("kaizen.auto", "kaizen.recall"):
        check_kaizen(words[2:])
    elif words[1] == "pytest":
        assert [word for word in words if word.startswith("tests/")]
        assert all((ROOT / word).exists() for word in words if word.startswith("tests/"))
    else:
        assert words[1] in ("venv", "kaizen.auto", "kaizen.recall")


def check_pip(words: list[str]) -> None:
    assert words[0] == "install"
    for word in words[1:]:
        assert word in INSTALLABLE or (ROOT / word.partition("[")[0] / "pyproject.toml").is_file(), word


def make(*words: str) -> str:
    # the tests may run below a make of their own, which would speak through this one
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(["make", *words], cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    return done.stdout


def check_make(words: list[str]) -> None:
    make("-n", *words)


def check_curl(words: list[str]) -> None:
    assert re.fullmatch(r"http://localhost:6006/v1/projects(/[\w-]+/spans\?limit=\d+)?", words[-1])


CHECKS = {
    "kaizen": check_kaizen,
    "python": check_python,
    "python3": check_python,
    "pip": check_pip,
    "make": check_make,
    "curl": check_curl,
    "phoenix": lambda words: None,
    "export": lambda words: None,
}


@pytest.mark.parametrize(("page", "line"), SHELL)
def test_a_command_in_the_documentation_is_one_that_there_is(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    variables = [word.partition("=")[0] for word in words if re.match(r"[A-Z][A-Z0-9_]*=", word)]
    known = settings_page()
    for variable in variables:
        assert variable in known or variable in FOREIGN_VARIABLES or variable.startswith("OPENINFERENCE_")
    words = [word for word in words if word.partition("=")[0] not in variables]
    CHECKS[Path(words[0]).name](words[1:])


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_command_named_in_a_sentence_is_one_that_there_is(page: Path) -> None:
    for text in re.findall(r"`kaizen ([a-z][^`]*)`", prose(page)):
        command: Any = typer.main.get_command(app)
        for word in text.split():
            if not hasattr(command, "commands") or word.startswith("-"):
                break
            command = command.commands[word]
    for target in re.findall(r"`make ([a-z]+)", prose(page)):
        check_make([target])
    scripts = set(re.findall(r"^(\w+) = ", (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    assert set(re.findall(r"`hatch run (\w+)", prose(page))) <= scripts


def test_the_commands_of_the_guides_on_a_store_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    assert kaizen("namespaces", "create", "kaizen").exit_code == 0
    tip = kaizen("entities", "add", "kaizen", "--content", "cancel an order", "--json").json
    monkeypatch.setenv("KAIZEN_EMBEDDER", "none")
    assert kaizen("entities", "add", "kaizen", "--content", "undone").exit_code == 0
    commits = kaizen("entities", "history", "kaizen", "--json").json["commits"]
    placeholders = {"ID": tip["id"], "COMMIT": commits[-1]["id"]}
    ran = 0
    for page in GUIDES:
        for block in blocks(ROOT / page, "sh"):
            for line in block.splitlines():
                if line.startswith(("kaizen entities", "kaizen namespaces", "kaizen --version")):
                    words = [placeholders.get(word, word) for word in shlex.split(line, comments=True)[1:]]
                    ended = kaizen(*words)
                    assert (ended.exit_code, bool(ended.stdout)) == (0, True) or "list" in words, line
                    ran += 1
    assert ran >= 6


@pytest.mark.parametrize("target", ["", "help"])
def test_make_help_shows_every_command(target: str) -> None:
    said = make(*target.split())
    shown = {line.split()[0] for line in said.splitlines() if line}
    assert shown == {
        "help",
        "demo",
        "test",
        "browser",
        "oldest",
        "tracers",
        "check",
        "fmt",
        "member",
        "clean",
    }


# Ours on an index are, or may become, other people's programs. Files of a checkout and of `dist/` are ours.
OWN_NAME = re.compile(r"(?<![\w./-])kaizen(?:-\w+)*(?:\[[\w,]+\])?(?![\w/-])")
INSTALL = re.compile(r"\b(?:pip|pipx|uv|uvx)\s+(?:pip\s+)?(?:install|add|run|tool\s+install)\b([^`\n,;]*)")
SHIPPED = sorted(
    path
    for place in ("packages/*/src/**/*", "packages/*/*", "docs/**/*", "examples/**/*", "README.md")
    for path in ROOT.glob(place)
    if path.suffix in (".py", ".md", ".toml", ".sh", ".txt") and path.is_file()
)


def installed_by_name(text: str) -> list[str]:
    """What a text tells people to install that an index would give them from strangers."""
    joined = re.sub(r"[\"']\s*\n\s*f?[\"']", "", text)  # a message over several lines of code
    said = [install[1] for install in INSTALL.finditer(joined)]
    return [name for words in said for name in OWN_NAME.findall(words)]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_tells_people_to_install_the_packages_of_strangers(path: Path) -> None:
    """`kaizen` and `kaizen-cli` on the public index belong to other people."""
    found = installed_by_name(path.read_text(encoding="utf-8"))
    # the page that warns of exactly this
    allowed = ["kaizen-cli"] if path.name == "release.md" else []
    assert found == allowed


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pip install kaizen-cli", ["kaizen-cli"]),
        ("run pip install --upgrade kaizen-store", ["kaizen-store"]),
        ("pip install 'kaizen-store[postgres]'", ["kaizen-store[postgres]"]),
        ('"set it with: pip "\n    "install kaizen-auto"', ["kaizen-auto"]),
        ("uv pip install kaizen", ["kaizen"]),
        ("pip install ./packages/kaizen-cli './packages/kaizen-demo[agents]'", []),
        ("pip install dist/kaizen_store-0.1.0.whl", []),
        ("`pip install arize-phoenix` beside kaizen-auto", []),
    ],
)
def test_what_an_index_would_give_from_strangers_is_found(text: str, found: list[str]) -> None:
    assert installed_by_name(text) == found


# Python


@pytest.mark.parametrize("block", PYTHON)
def test_python_in_the_documentation_imports_what_there_is(block: str) -> None:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


# Links


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", prose(page)):
        target, _, anchor = link.partition("#")
        if target.startswith("https://"):
            continue
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), link
        assert not anchor or anchor in anchors(found), link


def test_the_readme_leads_to_every_page() -> None:
    readme = ROOT / "README.md"
    links = re.findall(r"\]\(([^)#]+)", prose(readme))
    assert {(ROOT / link).resolve() for link in links} >= set(PAGES) - {readme}


# Promises


def test_every_test_that_the_documentation_names_is_there() -> None:
    named = {test for page in PAGES for test in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8"))}
    there = {
        test
        for path in ROOT.glob("tests/**/test_*.py")
        for test in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named
    assert named - there == set()


# Reference


def test_the_reference_of_the_command_is_what_the_command_says() -> None:
    assert reference.TARGET.read_text(encoding="utf-8") == reference.reference(), "run `hatch run docs`"


def test_the_tables_of_settings_are_what_the_settings_say() -> None:
    page = settings_reference.TARGET.read_text(encoding="utf-8")
    assert page == settings_reference.settings_page(page), "run `hatch run docs`"


def test_every_setting_that_a_variable_sets_is_described() -> None:
    for settings in settings_reference.CLASSES:
        for field, variables in settings.variables().items():
            assert not variables or settings.model_fields[field].description, field


def settings_page() -> set[str]:
    text = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    return set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`", text))


def variables_read() -> set[str]:
    # MLFLOW_EXPERIMENT is a word of MLflow's answers
    mlflow = r"MLFLOW(?!_EXPERIMENT\W)"
    owners = f"KAIZEN|PHOENIX|OTEL|OPENINFERENCE|LITELLM|STORE_CONTRACT|SSL|CLAUDE|CODEX|LANGFUSE|{mlflow}"
    pattern = rf"""["']((?:{owners})_[A-Z][A-Z0-9_]*[A-Z0-9])["']"""
    found: set[str] = set()
    for place in (
        "packages/*/src/**/*.py",
        "examples/**/*.py",
        "tests/conftest.py",
        "tests/support/slow.py",
        "tests/e2e/*.py",
    ):
        for path in ROOT.glob(place):
            # this one starts a Phoenix, and sets what that reads
            if path.name != "phoenix_server.py":
                found.update(re.findall(pattern, path.read_text(encoding="utf-8")))
    return found


def test_every_variable_that_the_code_reads_is_documented_and_no_other() -> None:
    documented = {variable for variable in settings_page() if not variable.startswith("OPENAI_")}
    assert variables_read() - documented == set()
    assert documented - variables_read() == set()
