"""`kaizen doctor`: check what is configured and what answers, and say what to do about what does not."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kaizen.cli.drawing import print_text
from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceOption,
    ProjectOption,
    UrlOption,
    store_settings,
)
from kaizen.cli.output import one_line, print_json

if TYPE_CHECKING:
    from kaizen.cli.env_file import EnvFile
    from kaizen.store import StoreSettings
    from kaizen.sync import Check, PhoenixStatus


def doctor(
    context: typer.Context,
    project: ProjectOption = None,
    url: UrlOption = None,
    namespace: NamespaceOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Model to check, by its LiteLLM name; offline: none [env: KAIZEN_TIPS_MODEL]",
            show_default=False,
        ),
    ] = None,
    no_model: Annotated[
        bool,
        typer.Option(
            "--no-model", help="Make no model call; otherwise one small one says whether it answers."
        ),
    ] = False,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Check the set-up.

    Looks at settings, tracing, Phoenix, the store and the model, and says what to do about each. The exit
    code is 1 if anything fails.
    """
    checks: list[Check] = []
    where = store_settings(backend, data_dir, namespace)
    parts: list[Callable[[], Iterator[Check]]] = [
        _versions,
        lambda: _env_file(context.obj),
        _tracing,
        lambda: _phoenix(url, project),
        lambda: _store(where),
        lambda: _proof(where),
        lambda: _model(model, call=not no_model),
    ]
    for part in parts:
        for check in part():
            checks.append(check)
            # At once, since a server that does not answer takes its time.
            if not json:
                _print(check)
    failed = any(check.status == "fail" for check in checks)
    if json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    if failed:
        raise typer.Exit(1)


def _print(check: Check) -> None:
    mark = {"ok": "ok  ", "note": "note", "fail": "FAIL"}[check.status]
    style = {"ok": "green", "note": "yellow", "fail": "bold red"}[check.status]
    print_text(f"{mark}  {check.name}: {one_line(check.detail)}", indent=6, style=style)
    if check.advice:
        print_text(f"      -> {check.advice}", indent=9)


def _check(name: str, status: Literal["ok", "note", "fail"], detail: str, advice: str = "") -> Check:
    # Imported here: `kaizen --help` reads this module.
    from kaizen.sync import Check

    return Check(name, status, detail, advice)


def _versions() -> Iterator[Check]:
    from importlib.metadata import version

    names = ("kaizen-cli", "kaizen-sync", "kaizen-store", "litellm")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    yield _check("versions", "ok", f"{versions}, Python {platform.python_version()}")


def _env_file(env_file: EnvFile | None) -> Iterator[Check]:
    if env_file is not None:
        status: Literal["ok", "note"] = "note" if env_file.ignored else "ok"
        yield _check("settings", status, env_file.described())


def _tracing() -> Iterator[Check]:
    """Check whether agents started from this environment would be traced."""
    # Found and not imported: to import it would trace this process too.
    installed = importlib.util.find_spec("kaizen.auto") is not None
    value = os.environ.get("KAIZEN_AUTO_ENABLED", "")
    enabled = value.strip().lower() in ("true", "1", "yes", "on")
    if installed and enabled:
        yield _check("tracing", "ok", "agents started here are traced")
        return
    yield _check(
        "tracing",
        "note",
        f"agents started here are not traced: {_why_untraced(installed, value)}",
        "where the agents run: pip install ./packages/kaizen-auto from a checkout of Kaizen, set "
        "KAIZEN_AUTO_ENABLED=true, "
        "then `python -m kaizen.auto` there",
    )


def _why_untraced(installed: bool, value: str) -> str:
    if not installed:
        return "kaizen-auto is not installed in this environment"
    return (
        f"KAIZEN_AUTO_ENABLED is '{value}', not true" if value else "KAIZEN_AUTO_ENABLED is not set to true"
    )


def _phoenix(url: str | None, project: str | None) -> Iterator[Check]:
    from kaizen.sync import PhoenixSettings, SyncError, phoenix_status

    try:
        settings = PhoenixSettings.from_environ(os.environ, url=url, project=project)
        found = phoenix_status(settings)
    except SyncError as error:
        yield _check("phoenix", "fail", str(error), "phoenix serve")
        return
    if not found.version:
        yield _check(
            "phoenix",
            "note",
            f"{settings.base_url} answers, without the version header that Phoenix sends",
            "check that a proxy in between passes x-phoenix-server-version",
        )
    else:
        yield _server(found, settings.base_url)
    if settings.project in found.projects:
        yield _check("project", "ok", f"'{settings.project}' exists")
    else:
        others = ", ".join(found.projects[:10])
        yield _check(
            "project",
            "note",
            f"Phoenix has no project '{settings.project}' yet; it has: {others}",
            "run an agent with KAIZEN_TRACING_PROJECT set to it, or choose another with --project",
        )


def _server(found: PhoenixStatus, url: str) -> Check:
    """Check whether the server offers what a sync reads best by."""
    detail = f"version {found.version} at {url}"
    if found.reading == "index":
        return _check("phoenix", "ok", detail)
    if found.reading == "spans":
        return _check(
            "phoenix",
            "note",
            f"{detail} lists no traces: every span is read to find the new ones",
            "update Phoenix to 13.15 or newer, which reads many times faster",
        )
    return _check(
        "phoenix",
        "fail",
        f"{detail} cannot be asked for single traces",
        "update Phoenix to 13.9 or newer, better 13.15",
    )


def _store(where: StoreSettings) -> Iterator[Check]:
    from kaizen.store import StoreError, open_store

    try:
        with open_store(where) as store:
            store.check()
            namespaces = [namespace.id for namespace in store.list_namespaces()]
            location = store.location
            compared = _VECTOR_SEARCH.get(getattr(store, "vector_search", ""), "")
    except StoreError as error:
        yield _check(
            "store",
            "fail",
            str(error),
            "choose another place with KAIZEN_DATA_DIR, or another backend with KAIZEN_BACKEND",
        )
        return
    held = f"namespaces: {', '.join(namespaces[:10])}" if namespaces else "no namespaces yet"
    yield _check("store", "ok", f"{where.backend} at {location} works; {held}{compared}")


def _proof(where: StoreSettings) -> Iterator[Check]:
    """Check whether the effect of tips can be measured."""
    from kaizen.store import StoreError, open_store
    from kaizen.sync import check_proof, read_proof

    try:
        with open_store(where) as store:
            if where.namespace_id not in [namespace.id for namespace in store.list_namespaces()]:
                return
            proof = read_proof(store, where.namespace_id)
    except StoreError:
        # The check of the store says it.
        return
    yield from check_proof(proof)


# How a store that can do it either way compares meanings in a search.
_VECTOR_SEARCH = {
    "hnsw": "; meanings are searched by an index (pgvector)",
    "exact": "; meanings are compared one by one: install pgvector for more than 100,000 tips",
}


def _model(name: str | None, *, call: bool) -> Iterator[Check]:
    from kaizen.sync import OFFLINE, ModelError, ModelSettings, SyncError, ping_model

    try:
        settings = ModelSettings.from_environ(os.environ, model=name)
    except SyncError as error:
        yield _check("model", "fail", str(error))
        return
    if settings.tips_model == OFFLINE:
        detail = "tips are generated offline: no model writes them, no key is needed"
        yield _check("model", "ok", detail)
    names = [n for n in dict.fromkeys((settings.tips_model, settings.reconcile_model)) if n != OFFLINE]
    if names and not call:
        yield _check("model", "note", f"{', '.join(names)}; not called (--no-model)")
        return
    for name in names:
        try:
            ping_model(name, settings)
        except ModelError as error:
            yield _check(
                "model",
                "fail",
                str(error),
                "set the provider's key (such as OPENAI_API_KEY), or another KAIZEN_TIPS_MODEL",
            )
        else:
            yield _check("model", "ok", f"{name} answers")
