"""Options that several commands share; what counts is options > environment > .env > defaults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaizen.store import StoreSettings, open_store
from kaizen.sync import SettingsError

if TYPE_CHECKING:
    from kaizen.store import Store

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
    typer.Option("--namespace", help="Namespace of the store [env: KAIZEN_NAMESPACE_ID; default: kaizen]"),
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
    typer.Option("--where", help="Only where a metadata field has this value: category=recovery."),
]
NamespaceArgument = Annotated[str, typer.Argument(metavar="NAMESPACE", help="Namespace of the store.")]


def load_env_file() -> None:
    """Read `.env` of the working directory into the environment, where it says what that does not."""
    path = Path(".env")
    if path.is_file():
        from dotenv import load_dotenv

        try:
            load_dotenv(path, override=False)
        except (OSError, ValueError) as error:
            raise SettingsError(f"{path.absolute()} cannot be read ({error}); mend or remove it") from error


def store_settings(
    backend: str | None = None, data_dir: str | None = None, namespace_id: str | None = None
) -> StoreSettings:
    return StoreSettings.from_environ(
        os.environ, backend=backend, data_dir=data_dir, namespace_id=namespace_id
    )


def open_configured_store(backend: str | None, data_dir: str | None) -> Store:
    return open_store(store_settings(backend, data_dir))


def parse_where(pairs: list[str]) -> dict[str, Any]:
    """`category=recovery` as a metadata filter; a value that is JSON (3, true) is taken as such."""
    import json

    where: dict[str, Any] = {}
    for pair in pairs:
        path, separator, text = pair.partition("=")
        if not separator or not path:
            raise typer.BadParameter(f"'{pair}' is not of the form path=value")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        where[path.removeprefix("metadata.")] = text if isinstance(value, dict | list) else value
    return where
