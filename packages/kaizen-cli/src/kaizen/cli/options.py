"""Options that several commands share; what counts is options > environment > .env > defaults."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kaizen.store import Store, StoreSettings, Where

BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend",
        help="Kind of store (sqlite, filesystem, postgres), or one URL that says where it is too "
        "[env: KAIZEN_BACKEND; default: sqlite]",
        show_default=False,
    ),
]
DataDirOption = Annotated[
    str | None,
    typer.Option(
        "--data-dir",
        help="Where the store keeps its files [env: KAIZEN_DATA_DIR; default: ~/.local/share/kaizen]",
        show_default=False,
    ),
]
NamespaceOption = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", help="Namespace of the store [env: KAIZEN_NAMESPACE_ID; default: kaizen]"
    ),
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url", help="Phoenix server [env: PHOENIX_URL or Phoenix's own; default: http://localhost:6006]"
    ),
]
ProjectOption = Annotated[
    str | None,
    typer.Option("--project", help="Phoenix project [env: KAIZEN_TRACING_PROJECT; default: kaizen-agent]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, for programs.")]
TypeOption = Annotated[
    str | None, typer.Option("--type", help="Only this type: guideline (tips), trajectory, ...")
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        help="Only if a metadata field has this value (category=recovery) or another (status!=retired); "
        "may be given several times.",
    ),
]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why; kept in the history.")]
NamespaceArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAMESPACE]", help="Namespace of the store, like --namespace.", show_default=False
    ),
]


def store_settings(
    backend: str | None = None, data_dir: str | None = None, namespace_id: str | None = None
) -> StoreSettings:
    from kaizen.store import StoreSettings

    return StoreSettings.from_environ(
        os.environ, backend=backend, data_dir=data_dir, namespace_id=namespace_id
    )


@contextmanager
def opened(backend: str | None, data_dir: str | None, *namespaces: str | None) -> Iterator[tuple[Store, str]]:
    """Open the configured store, and give it with the id of the namespace that options or settings name."""
    from kaizen.store import open_store

    # It may be written as an argument and as an option; the same one twice does no harm.
    named = list(dict.fromkeys(name for name in namespaces if name))
    if len(named) > 1:
        raise typer.BadParameter(
            f"the namespace is given twice: {' and '.join(named)}", param_hint="--namespace"
        )
    settings = store_settings(backend, data_dir, named[0] if named else None)
    with open_store(settings) as store:
        yield store, settings.namespace_id


def one_word(words: Sequence[str], namespace_id: str, option: str | None, what: str) -> tuple[str, str]:
    """Return the namespace and the one word of a command that may be written without the namespace."""
    if len(words) == 1:
        return namespace_id, words[0]
    if len(words) == 2 and option is None:
        return words[0], words[1]
    raise typer.BadParameter(f"give one {what}, with the namespace before it if you name one there")


def split_namespace(store: Store, words: Sequence[str], namespace_id: str) -> tuple[str, list[str]]:
    """Take the first word for the namespace if there is one of that name; else all words are ids."""
    from kaizen.store import InvalidInputError, NotFoundError

    try:
        store.get_namespace(words[0])
    except (NotFoundError, InvalidInputError):
        # A word that cannot name a namespace may still be an id.
        return namespace_id, list(words)
    return words[0], list(words[1:])


def parse_where(pairs: Sequence[str]) -> Where:
    """Read `category=recovery` and `status!=retired` as a filter; JSON values (3, true) are taken as such."""
    import json

    from kaizen.store import Where

    equal: dict[str, Any] = {}
    unequal: list[tuple[str, Any]] = []
    for pair in pairs:
        path, separator, text = pair.partition("=")
        is_unequal = path.endswith("!")
        path = path.removesuffix("!").removeprefix("metadata.")
        if not separator or not path:
            raise typer.BadParameter(
                f"'{pair}' is not of the form path=value or path!=value", param_hint="--where"
            )
        try:
            value = json.loads(text)
        except ValueError:
            # What is not JSON is meant as it is written, without quotes.
            value = text
        # Filters compare single values only.
        value = text if isinstance(value, dict | list) else value
        if is_unequal:
            unequal.append((path, value))
        elif equal.setdefault(path, value) != value:
            raise typer.BadParameter(f"'{path}' cannot have two values", param_hint="--where")
    return Where(equal=equal, unequal=tuple(unequal))
