"""`kaizen entities import`: what `export` wrote, with its history or into a namespace that is in use."""

from __future__ import annotations

import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaizen.cli.drawing import print_fields
from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceOption, one_word, opened
from kaizen.cli.output import counted, print_json
from kaizen.cli.ticker import Ticker
from kaizen.store import ConflictError, InvalidInputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kaizen.store import Store

_MARKDOWN_SUFFIXES = (".md", ".markdown")


def import_(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAMESPACE] FILE", help="What export wrote as JSON lines; - reads standard input."
        ),
    ],
    merge: Annotated[
        bool,
        typer.Option(
            "--merge", help="Put its entities, without their history, into a namespace that is in use."
        ),
    ] = False,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Import what `kaizen entities export` wrote as JSON lines, with all its history, as this namespace.

    The namespace is made if there is none. An import that was interrupted goes on when it is run again.
    """
    from kaizen.store import import_lines
    from kaizen.tips import GUIDELINE, read_tip

    with opened(backend, data_dir, in_namespace) as (store, namespace_id):
        namespace, file = one_word(words, namespace_id, in_namespace, "FILE")
        name = "standard input" if file == "-" else file
        value: dict[str, Any] = {"namespace": namespace}
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
                    progress=lambda version: ticker.say(f"{counted(version, 'commit')} imported"),
                )
            except ConflictError as error:
                raise ConflictError(
                    f"{error}, or add the entities of the file with --merge", namespace_id=namespace
                ) from error
            for entity in store.iterate(namespace, type=GUIDELINE):
                read_tip(entity)  # an exact copy has wrong tips too, and says so
            value |= {"commits": done.commits, "merged": None, "version": done.version}
            value |= {"entities": done.entities, "digest": done.digest}
    if json:
        print_json(value)
    else:
        print_fields(value)


def _merge(store: Store, namespace: str, lines: Iterable[bytes], name: str) -> dict[str, Any]:
    from kaizen.store import merge_entities, read_entities
    from kaizen.tips import check_tip, recount_tips

    actor = "kaizen entities import"
    entities = read_entities(lines, namespace, name=name)
    for entity in entities.values():
        check_tip(entity)
    commit = merge_entities(store, namespace, entities, actor=actor, reason=f"merged from {name}")
    # A tip that was here too may have evidence that the file does not have.
    recount_tips(store, namespace, list(entities), actor=actor)
    return {
        "commits": 1 if commit else 0,
        "merged": len(commit.changes) if commit else 0,
        "version": store.get_namespace(namespace).version,
        "entities": store.count(namespace),
        "digest": None,
    }


def _read(file: str, name: str) -> Iterator[bytes]:
    """The lines of the file or of standard input; what is Markdown is refused."""
    if file == "-":
        lines = iter(getattr(sys.stdin, "buffer", None) or (line.encode() for line in sys.stdin))
    else:
        lines = _file_lines(file)
    first = next(lines, b"")
    # JSON lines begin with a brace; Markdown with a comment, a heading or an item of a list.
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
