"""`kaizen entities export` and `import`: a namespace with its history, and tips for people and agents."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceArgument,
    TypeOption,
    WhereOption,
    open_configured_store,
    parse_where,
)
from kaizen.cli.output import harmless, one_line, print_fields, print_json, print_note
from kaizen.cli.ticker import Ticker
from kaizen.store import ConflictError, InvalidInputError, UnavailableError

if TYPE_CHECKING:
    from kaizen.store import Store

_MARKDOWN_SUFFIXES = (".md", ".markdown")


def export(
    namespace: NamespaceArgument,
    format_: Annotated[
        Literal["jsonl", "markdown"],
        typer.Option("--format", help="jsonl (everything, to import) or markdown (active tips, to read)."),
    ] = "jsonl",
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File to write; by default standard output.")
    ] = None,
    type_: TypeOption = None,
    where: WhereOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Export a namespace: as JSON lines with all its history, or its tips as Markdown.

    Markdown holds the active tips by category, for people and for instruction files of agents (AGENTS.md);
    tips in quarantine are left out, and --type and --where choose among the others. A file is written whole
    or not at all.
    """
    if format_ == "jsonl" and (type_ or where):
        raise typer.BadParameter(
            "JSON lines hold the whole namespace with its history; this goes with --format markdown",
            param_hint="--type" if type_ else "--where",
        )
    with open_configured_store(backend, data_dir) as store:
        if format_ == "markdown":
            lines = _markdown(store, namespace, type_ or "guideline", parse_where(where or []))
        else:
            lines = _json_lines(store, namespace, Ticker(quiet=False))
        if output is None:
            _print(lines)
        else:
            _write(output, lines)
            typer.echo(f"Exported namespace '{namespace}' to {one_line(output)}.")


def import_(
    namespace: NamespaceArgument,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="What export wrote as JSON lines; - reads standard input.")
    ],
    merge: Annotated[
        bool,
        typer.Option(
            "--merge", help="Put its entities, without their history, into a namespace that is in use."
        ),
    ] = False,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Import what `kaizen entities export` wrote as JSON lines, with all its history, as this namespace.

    The namespace is made if there is none. An import that was interrupted goes on when it is run again.
    """
    from kaizen.store import import_lines
    from kaizen.tips import GUIDELINE, read_tip

    name = "standard input" if file == "-" else file
    value: dict[str, Any] = {"namespace": namespace}
    with open_configured_store(backend, data_dir) as store:
        lines = _read(file, name)
        if merge:
            value |= _merge(store, namespace, lines, name)
        else:
            ticker = Ticker(quiet=json)
            try:
                done = import_lines(
                    store,
                    namespace,
                    lines,
                    name=name,
                    progress=lambda version: ticker.say(f"{version} commits imported"),
                )
            except ConflictError as error:
                raise ConflictError(
                    f"{error}, or add the entities of the file with --merge", namespace_id=namespace
                ) from error
            for entity in store.iterate(namespace, type=GUIDELINE):
                read_tip(entity)  # an exact copy has them too, and says so
            value |= {"commits": done.commits, "merged": None, "version": done.version}
            value |= {"entities": done.entities, "digest": done.digest}
    if json:
        print_json(value)
    else:
        print_fields(value)


def _merge(store: Store, namespace: str, lines: Iterable[bytes], name: str) -> dict[str, Any]:
    from kaizen.store import merge_entities, read_entities
    from kaizen.tips import check_tip

    entities = read_entities(lines, namespace, name=name)
    for entity in entities.values():
        check_tip(entity)
    commit = merge_entities(
        store,
        namespace,
        entities,
        actor="kaizen entities import",
        reason=f"merged from {name}",
    )
    return {
        "commits": 1 if commit else 0,
        "merged": len(commit.changes) if commit else 0,
        "version": store.get_namespace(namespace).version,
        "entities": store.count(namespace),
        "digest": None,
    }


def _json_lines(store: Store, namespace: str, ticker: Ticker) -> Iterator[bytes]:
    from kaizen.store import export_lines

    for number, line in enumerate(export_lines(store, namespace)):
        ticker.say(f"{number} commits exported")
        yield harmless(line.decode()).encode()


def _markdown(store: Store, namespace: str, type_: str, where: dict[str, Any]) -> Iterator[bytes]:
    from kaizen.tips import read_tips
    from kaizen.tips.markdown import TipsPage

    page = TipsPage(namespace)
    for tip in read_tips(store.iterate(namespace, type=type_, where=where)):
        page.add(tip)
    yield from (f"{line}\n".encode() for line in page.lines())
    if page.left_out:
        left_out = ", ".join(f"{n} {status}" for status, n in sorted(page.left_out.items()))
        print_note(f"{page.tips} tips; left out because they are not active: {left_out}")
    elif not page.tips:
        print_note("There are no active tips here.")


def _print(lines: Iterator[bytes]) -> None:
    """Write the bytes as they are, whatever the terminal's encoding: the output may be a pipe to a file."""
    out = getattr(sys.stdout, "buffer", None)
    for line in lines:
        if out is None:
            sys.stdout.write(line.decode())
        else:
            out.write(line)
    sys.stdout.flush()


def _write(output: str, lines: Iterator[bytes]) -> None:
    target = Path(os.path.realpath(output))
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if target.exists() and not target.is_file():  # a device or a pipe, which no file may replace
            with target.open("wb") as file:
                file.writelines(lines)
            return
        try:
            with beside.open("wb") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise UnavailableError(f"cannot write {output}: {error.strerror}; choose another file") from error


def _read(file: str, name: str) -> Iterator[bytes]:
    """The lines of the file or of standard input; what is Markdown is refused."""
    if file == "-":
        lines = iter(getattr(sys.stdin, "buffer", None) or (line.encode() for line in sys.stdin))
    else:
        lines = _file_lines(file)
    first = next(lines, b"")
    if name.lower().endswith(_MARKDOWN_SUFFIXES) or first.lstrip()[:1] in (b"<", b"#", b"-"):
        raise InvalidInputError(
            f"{name} is Markdown, which is for reading: import what `kaizen entities export` writes without "
            "--format"
        )
    return chain([first], lines) if first else iter(())


def _file_lines(file: str) -> Iterator[bytes]:
    try:
        with Path(file).open("rb") as opened:
            yield from opened
    except OSError as error:
        raise UnavailableError(f"cannot read {file}: {error.strerror}; check the name of the file") from error
