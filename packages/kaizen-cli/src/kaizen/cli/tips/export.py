"""`kaizen tips export`: the active tips, for people, for files that agents read, and for recall."""

from __future__ import annotations

from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kaizen.cli.entities.export import markdown_lines, print_lines, write_file
from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    NamespaceOption,
    WhereOption,
    opened,
    parse_where,
    store_settings,
)
from kaizen.cli.output import one_line, print_note
from kaizen.store import InvalidInputError, UnavailableError
from kaizen.tips import GUIDELINE, recall_document, replace_block, served_tips, tips_block

if TYPE_CHECKING:
    from kaizen.store import Store, Where


def export(
    format_: Annotated[
        Literal["markdown", "agents.md", "recall"],
        typer.Option(
            "--format",
            help="markdown (for people), agents.md (a block for files that agents read) or recall (one JSON "
            "document, which kaizen-recall reads).",
        ),
    ] = "markdown",
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File to write; by default standard output.")
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(
            "--into", metavar="FILE", help="File whose block is replaced, such as AGENTS.md; the rest stays."
        ),
    ] = None,
    top: Annotated[int | None, typer.Option("--top", min=1, help="Only so many, the best backed.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="Only what fits into about so many tokens.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if the block is out of date.")
    ] = False,
    where: WhereOption = None,
    namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Export the active tips.

    Tips in quarantine are left out; --where chooses among the others. Markdown is by category. A file is
    written whole or not at all.

    Example: kaizen tips export --format agents.md --into AGENTS.md --top 20
    """
    _check_options(format_, output=output, into=into, top=top, max_tokens=max_tokens, check=check)
    with opened(backend, data_dir, namespace) as (store, namespace_id):
        count = "the tips"
        if format_ == "markdown":
            lines = markdown_lines(store, namespace_id, GUIDELINE, parse_where(where or []))
        else:
            text = _text(store, namespace_id, format_, parse_where(where or []), top, max_tokens)
            lines = iter([text.encode()])
            if format_ == "recall":
                count = f"{len(loads(text)['tips'])} tips"
        if into is not None:
            _replace(into, b"".join(lines).decode().removesuffix("\n"), check=check)
        elif output is None:
            print_lines(lines)
        else:
            write_file(output, lines)
            typer.echo(f"Exported {count} of namespace '{namespace_id}' to {one_line(output)}.")


def _check_options(
    format_: str,
    *,
    output: str | None,
    into: str | None,
    top: int | None,
    max_tokens: int | None,
    check: bool,
) -> None:
    """Raise `BadParameter` if an option does not go with the others."""
    for option, given, goes_with in (
        ("--into", into, format_ == "agents.md"),
        ("--max-tokens", max_tokens, format_ == "agents.md"),
        ("--top", top, format_ != "markdown"),
    ):
        if given and not goes_with:
            raise typer.BadParameter(f"this does not go with --format {format_}", param_hint=option)
    if check and into is None:
        raise typer.BadParameter("this needs --into", param_hint="--check")
    if into and output:
        raise typer.BadParameter("give either this or --output", param_hint="--into")


def _text(
    store: Store, namespace_id: str, format_: str, where: Where, top: int | None, max_tokens: int | None
) -> str:
    if format_ == "recall":
        is_tried = store_settings().try_candidates
        return recall_document(store, namespace_id, where=where, top=top, try_candidates=is_tried)
    return tips_block(served_tips(store, namespace_id, where=where)[:top], max_tokens=max_tokens) + "\n"


def _replace(path: str, block: str, *, check: bool) -> None:
    """Put the block into the file, unless it is there already."""
    file = Path(path)
    try:
        before = file.read_bytes().decode() if file.exists() else ""
        after = replace_block(before, block)
    except (OSError, UnicodeDecodeError) as error:
        raise UnavailableError(f"cannot read {path}: {error}; choose another file") from error
    except InvalidInputError as error:
        raise InvalidInputError(f"{path} is not changed: {error}") from error
    if after == before:
        print_note(f"{one_line(path)} is up to date.")
    elif check:
        print_note(f"{one_line(path)} is out of date: run this again without --check.")
        raise typer.Exit(1)
    else:
        write_file(path, iter([after.encode()]))
        print_note(f"{one_line(path)} has the tips now.")
