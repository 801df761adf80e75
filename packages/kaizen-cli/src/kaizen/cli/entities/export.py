"""`kaizen entities export`: a namespace with its history, or tips for people and agents."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    NamespaceArgument,
    NamespaceOption,
    TypeOption,
    WhereOption,
    opened,
    parse_where,
)
from kaizen.cli.output import counted, harmless, one_line, print_note
from kaizen.cli.ticker import Ticker
from kaizen.store import UnavailableError, read_pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen.store import Store, Where


def export(
    namespace: NamespaceArgument = None,
    format_: Annotated[
        Literal["jsonl", "markdown"],
        typer.Option("--format", help="jsonl (everything, to import) or markdown (active tips, to read)."),
    ] = "jsonl",
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File to write; by default standard output.")
    ] = None,
    type_: TypeOption = None,
    where: WhereOption = None,
    in_namespace: NamespaceOption = None,
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
    with opened(backend, data_dir, namespace, in_namespace) as (store, namespace_id):
        if format_ == "markdown":
            lines = markdown_lines(store, namespace_id, type_ or "guideline", parse_where(where or []))
        else:
            lines = _json_lines(store, namespace_id, Ticker(quiet=False))
        if output is None:
            print_lines(lines)
        else:
            write_file(output, lines)
            typer.echo(f"Exported namespace '{namespace_id}' to {one_line(output)}.")


def _json_lines(store: Store, namespace: str, ticker: Ticker) -> Iterator[bytes]:
    from kaizen.store import export_lines

    for number, line in enumerate(export_lines(store, namespace)):
        ticker.say(f"{counted(number, 'commit')} exported")
        # The escapes are read back as the same text, so the digest of an import is that of the export.
        yield harmless(line.decode()).encode()


def markdown_lines(store: Store, namespace: str, type_: str, where: Where) -> Iterator[bytes]:
    from kaizen.tips import TipsPage, read_tips

    page = TipsPage(namespace)
    for read in read_pages(store, namespace, types=(type_,), where=where):
        for tip in read_tips(read.entities):
            page.add(tip)
    yield from (f"{line}\n".encode() for line in page.lines())
    if page.left_out:
        left_out = ", ".join(f"{n} {status}" for status, n in sorted(page.left_out.items()))
        print_note(f"{counted(page.tips, 'tip')}; left out because they are not active: {left_out}")
    elif not page.tips:
        print_note("There are no active tips here.")


def print_lines(lines: Iterator[bytes]) -> None:
    """Write the bytes as they are, whatever the terminal's encoding: the output may be a pipe to a file."""
    out = getattr(sys.stdout, "buffer", None)
    for line in lines:
        if out is None:
            sys.stdout.write(line.decode())
        else:
            out.write(line)
    sys.stdout.flush()


def write_file(output: str, lines: Iterator[bytes]) -> None:
    target = Path(os.path.realpath(output))
    # In the same directory: to replace a file in one step works within one file system only.
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if target.exists() and not target.is_file():  # a device or a pipe, which no file may replace
            with target.open("wb") as file:
                file.writelines(lines)
            return
        try:
            with beside.open("wb") as file:
                file.writelines(lines)
                # Else a power cut could leave the new name with nothing in it.
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                shutil.copymode(target, beside)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise UnavailableError(f"cannot write {output}: {error.strerror}; choose another file") from error
