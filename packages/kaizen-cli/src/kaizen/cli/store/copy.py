"""`kaizen store copy`: all that one store holds, into another."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kaizen.cli.drawing import Table
from kaizen.cli.options import JsonOption, store_settings
from kaizen.cli.output import counted, print_json
from kaizen.cli.ticker import Ticker
from kaizen.store import InvalidInputError, open_store

if TYPE_CHECKING:
    from kaizen.store import Store, StoreSettings


def copy(
    source: Annotated[
        str,
        typer.Option(
            "--from", help="Store to read: sqlite:DIRECTORY, filesystem:DIRECTORY, postgresql://..."
        ),
    ],
    target: Annotated[str, typer.Option("--to", help="Store to write, likewise.")],
    namespace: Annotated[
        list[str] | None, typer.Option("--namespace", help="Only this namespace; may be given several times.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Copy namespaces with all their history from one store to another, and check that they are the same.

    A copy that was interrupted goes on when it is run again, and so does one whose source has grown since. A
    kind of store instead of a URL means the one that the settings describe:
    kaizen store copy --from filesystem --to sqlite
    """
    from kaizen.store import copy_namespace

    settings = store_settings(source), store_settings(target)
    ticker = Ticker(quiet=json)
    table = Table(["NAMESPACE", "COMMITS COPIED", "ENTITIES", "DIGEST"])
    copied: list[dict[str, Any]] = []
    with open_store(settings[0]) as reading, open_store(settings[1]) as writing:
        if _place(settings[0], reading) == _place(settings[1], writing):
            raise typer.BadParameter("this is the same store as --from", param_hint="--to")
        versions = {each.id: each.version for each in reading.list_namespaces()}
        if not versions:
            raise InvalidInputError(f"there are no namespaces in {reading.location}: check --from")
        for namespace_id in dict.fromkeys(namespace or versions):
            done = copy_namespace(
                reading,
                writing,
                namespace_id,
                progress=partial(_say_copied, ticker, namespace_id, versions.get(namespace_id, 0)),
            )
            copied.append(asdict(done))
            if not json:
                table.add([[done.namespace_id, str(done.commits), str(done.entities), done.digest]])
    if json:
        print_json({"namespaces": copied})


def _say_copied(ticker: Ticker, namespace_id: str, total: int, version: int) -> None:
    ticker.say(f"{namespace_id}: {version} of {counted(total, 'commit')} copied")


def _place(settings: StoreSettings, store: Store) -> tuple[str, str]:
    # By a link or another spelling it is the same directory.
    return settings.backend, os.path.realpath(store.location)
