"""Build one member of the workspace (or --all), check what is in it, and install it alone somewhere else."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = [sys.executable, "-m", "uv", "--quiet"]

FRAMEWORKS = r"openai|litellm|smolagents|openai-agents"
INSTRUMENTORS = r"openinference-instrumentation.*"
# Phoenix's client brings OpenTelemetry and OpenInference's core, which instrument nothing.
FRAMEWORK_INSTRUMENTORS = r"openinference-instrumentation-.*|opentelemetry-instrumentation-.*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What must hold for a member: siblings it installs with, files it carries, what must not come along.

    `at_most` are the distributions that it may install and their megabytes; `listed_in` is the page that
    names them all, itself included, after "They are:".
    """

    siblings: tuple[str, ...] = ()
    unwanted: str
    imports: str
    carries: tuple[str, ...] = ()
    at_most: tuple[int, int] | None = None
    listed_in: str | None = None
    commands: tuple[tuple[str, ...], ...] = ()


MEMBERS = {
    "kaizen-store": Member(
        unwanted=rf"{FRAMEWORKS}|{INSTRUMENTORS}|psycopg.*|onnxruntime|torch|kaizen-(?!store$).*",
        imports="kaizen.store, kaizen.tips, kaizen.store.backends.filesystem.store, "
        "kaizen.store.backends.sqlite.store, kaizen.store.embedders.wordllama",
        carries=("kaizen/store/embedders/data/bert_uncased_vocab.txt",),
    ),
    "kaizen-auto": Member(
        unwanted=rf"{FRAMEWORKS}|pandas|pydantic-settings|kaizen-(?!auto$).*",
        imports="kaizen.auto",
        at_most=(32, 35),
        listed_in="docs/guides/tracing-details.md",
        commands=(("python", "-m", "kaizen.auto", "--help"),),
    ),
    "kaizen-recall": Member(
        unwanted=r".*(?<!kaizen-recall)",
        imports="kaizen.recall, kaizen.recall.recalling, kaizen.recall.explaining",
        at_most=(1, 1),
        commands=(("python", "-m", "kaizen.recall", "--help"),),
    ),
    "kaizen-sync": Member(
        siblings=("kaizen-store",),
        unwanted=rf"{FRAMEWORK_INSTRUMENTORS}|smolagents|openai-agents|pandas|kaizen-(?!store$|sync$).*",
        imports="kaizen.sync, kaizen.sync.sources.phoenix.source, kaizen.sync.run.pipeline",
        carries=("kaizen/sync/generate/prompts/tips-3.md", "kaizen/sync/knowledge/prompts/reconcile-2.md"),
    ),
    "kaizen-cli": Member(
        siblings=("kaizen-store", "kaizen-sync"),
        unwanted=rf"{FRAMEWORK_INSTRUMENTORS}|smolagents|openai-agents|pandas|kaizen-auto",
        imports="kaizen.cli, kaizen.cli.app",
        carries=("kaizen/frontend/cli/cli.py",),
        commands=(
            ("kaizen", "--version"),
            ("python", "-m", "kaizen.frontend.cli.cli", "--version"),
            ("kaizen", "namespaces", "list", "--json"),
        ),
    ),
    "kaizen-serve": Member(
        siblings=("kaizen-store", "kaizen-sync", "kaizen-recall", "kaizen-cli"),
        unwanted=rf"{FRAMEWORK_INSTRUMENTORS}|smolagents|openai-agents|pandas|fastapi|kaizen-auto",
        imports="kaizen.serve, kaizen.serve.app, kaizen.serve.mcp.server",
        carries=("kaizen/serve/pages/templates/overview.html",),
        commands=(("kaizen", "serve", "--help"), ("kaizen", "mcp", "--help")),
    ),
    "kaizen-demo": Member(
        unwanted=r".*(?<!kaizen-demo)",
        imports="kaizen.demo.model_server, kaizen.demo.phoenix_server",
        carries=("kaizen/demo/examples/simple_openai.py", "kaizen/demo/scenarios/simple_openai.json"),
        commands=(("python", "-m", "kaizen.demo.model_server", "--help"),),
    ),
}

LIST_INSTALLED = """
import json
from importlib.metadata import distributions
print(json.dumps({
    d.name.lower().replace("_", "-"): [
        d.version,
        sum(p.stat().st_size for f in d.files or () if (p := f.locate()).is_file()),
        (d.read_text("direct_url.json") or ""),
    ]
    for d in distributions()
}))
"""

CHECK_IMPORT = """
import {imports}
import kaizen
assert kaizen.__file__ is None, "kaizen is no namespace package"
assert not any(str(path).startswith({root!r}) for path in kaizen.__path__), "imported from the checkout"
"""


class MemberError(Exception):
    """A member is not what it must be."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(MEMBERS)}")
    parser.add_argument("--all", action="store_true", help="all members")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave what was built in this directory")
    given = parser.parse_args()
    names = list(MEMBERS) if given.all else given.names
    if not names or not MEMBERS.keys() >= set(names):
        parser.error(f"name one of {', '.join(MEMBERS)}, or give --all")
    with tempfile.TemporaryDirectory(prefix="kaizen-member-") as directory:
        place = Path(directory)
        dist = given.keep.absolute() if given.keep else place / "dist"
        try:
            wheels = {name: build(name, dist) for name in needed(names)}
            for name in names:
                check_contents(name, wheels[name], dist)
                check_alone(name, wheels, place / name)
        except MemberError as error:
            sys.exit(f"FAILED {error}")


def needed(names: list[str]) -> list[str]:
    """The members to build: those named and their siblings."""
    wanted = {*names, *(sibling for name in names for sibling in MEMBERS[name].siblings)}
    return [name for name in MEMBERS if name in wanted]


def build(name: str, dist: Path) -> Path:
    """Build the sdist, and from it the wheel; return the wheel."""
    before = set(dist.glob("*"))
    run([*UV, "build", "--out-dir", str(dist), str(ROOT / "packages" / name)], cwd=ROOT)
    found = list(dist.glob(f"{name.replace('-', '_')}-{version_of(name)}-*.whl"))
    if len(found) != 1:
        raise MemberError(f"{name}: built {sorted(set(dist.glob('*')) - before)}, not one wheel")
    return found[0]


def version_of(name: str) -> str:
    about = ROOT / "packages" / name / "src/kaizen" / name.removeprefix("kaizen-") / "__about__.py"
    found = re.search(r'^__version__ = "(.+)"$', about.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise MemberError(f"{name}: no __version__ in {about}")
    return found[1]


def check_contents(name: str, wheel: Path, dist: Path) -> None:
    """What the wheel and the sdist hold, and what their metadata say."""
    version, leaf = version_of(name), name.removeprefix("kaizen-")
    with zipfile.ZipFile(wheel) as archive:
        files = archive.namelist()
        info = next(file.partition("/")[0] for file in files if ".dist-info/" in file)
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
    with tarfile.open(dist / f"{name.replace('-', '_')}-{version}.tar.gz") as source:
        sources = [path.partition("/")[2] for path in source.getnames()]
    requirements = metadata.get_all("Requires-Dist") or []
    siblings = [line for line in requirements if line.startswith("kaizen-")]
    problems = {
        f"its version is {metadata['Version']}, not {version}": metadata["Version"] != version,
        "it has no description": not (metadata.get_payload() or "").strip(),
        "it has no py.typed": f"kaizen/{leaf}/py.typed" not in files,
        "it has no LICENSE": f"{info}/licenses/LICENSE" not in files,
        f"it lacks one of {MEMBERS[name].carries}": not set(MEMBERS[name].carries) <= set(files),
        "it ships kaizen/__init__.py": "kaizen/__init__.py" in files,
        "it ships tests": any(re.search(r"(^|/)(tests?/|test_|conftest)", file) for file in files),
        "it ships something outside kaizen/": any(not f.startswith(("kaizen/", f"{info}/")) for f in files),
        "its sdist lacks something": not {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml"}
        <= set(sources),
        "its sdist ships tests": any(file.startswith("tests") for file in sources),
        f"a sibling is required without a range: {siblings}": not all(
            ">=" in line and "<" in line for line in siblings
        ),
    }
    if found := [problem for problem, holds in problems.items() if holds]:
        raise MemberError(f"{name}: {'; '.join(found)}")


def check_alone(name: str, wheels: dict[str, Path], place: Path) -> None:
    """Install the wheel with the siblings it needs into an environment outside the checkout, and use it."""
    member, environment = MEMBERS[name], place / "venv"
    run([*UV, "venv", str(environment), "--python", sys.executable], cwd=ROOT)
    # Wheels named by path: the packages of these names on the public index are not ours.
    paths = [str(wheels[sibling]) for sibling in (name, *member.siblings)]
    run([*UV, "pip", "install", "--python", str(environment), *paths], cwd=place)
    python = [str(environment / "bin/python"), "-I"]
    installed = json.loads(run([*python, "-c", LIST_INSTALLED], cwd=place))
    megabytes = sum(size for _, size, _ in installed.values()) / 1e6
    unwanted = [other for other in installed if re.fullmatch(member.unwanted, other)]
    if unwanted:
        raise MemberError(f"{name} brings {', '.join(sorted(unwanted))}")
    check_amount(name, installed, megabytes)
    for own in (own for own in installed if own.startswith("kaizen-")):
        if not installed[own][2].startswith('{"url":"file:'):
            raise MemberError(f"{name} installed a {own} that was not built here")
    run([*python, "-c", CHECK_IMPORT.format(imports=member.imports, root=str(ROOT))], cwd=place)
    said = [
        run([str(environment / "bin" / command[0]), *command[1:]], cwd=place) for command in member.commands
    ]
    if name == "kaizen-cli" and said[0] != said[1]:
        raise MemberError(f"the older spelling says {said[1]!r}, kaizen --version says {said[0]!r}")
    sys.stdout.write(
        f"{name} {version_of(name)}: wheel {wheels[name].stat().st_size / 1e3:.0f} kB; alone it installs "
        f"{len(installed)} distributions, {megabytes:.1f} MB\n"
    )


def check_amount(name: str, installed: dict[str, list[object]], megabytes: float) -> None:
    """How much came along is what was promised, and what the documentation lists."""
    member = MEMBERS[name]
    if member.at_most is not None and (len(installed) > member.at_most[0] or megabytes > member.at_most[1]):
        raise MemberError(f"{name} installs {len(installed)} distributions, {megabytes:.1f} MB")
    if member.listed_in is not None:
        page = (ROOT / member.listed_in).read_text(encoding="utf-8")
        listed = set(re.findall(r"[a-z0-9-]+", page.partition("They are:")[2].partition(".\n")[0]))
        if listed != set(installed):
            different = ", ".join(sorted(listed ^ set(installed)))
            raise MemberError(f"{name}: {member.listed_in} lists other distributions: {different}")


def run(command: list[str], *, cwd: Path) -> str:
    """Run a command that sees nothing of this checkout or its environment; return what it said."""
    dropped = ("PYTHON", "VIRTUAL_ENV", "KAIZEN_", "PHOENIX_", "HATCH_")
    environ = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environ | {"KAIZEN_DATA_DIR": str(cwd / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise MemberError(f"`{' '.join(command[:6])} ...` failed:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
