"""`kaizen doctor`: what is configured, what answers, and what to do about what does not."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

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
from kaizen.store import StoreError, open_store
from kaizen.sync import ModelError, SyncError

if TYPE_CHECKING:
    from kaizen.cli.settings import EnvFile
    from kaizen.store import StoreSettings

_PING_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at; `advice` says what to do where it is not `ok`."""

    name: str
    status: Literal["ok", "note", "fail"]
    detail: str
    advice: str = ""


def doctor(
    context: typer.Context,
    project: ProjectOption = None,
    url: UrlOption = None,
    namespace: NamespaceOption = None,
    model: Annotated[
        bool, typer.Option("--model/--no-model", help="Make one small model call to see whether it answers.")
    ] = True,
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
        lambda: _model(call=model),
    ]
    for part in parts:
        for check in part():
            checks.append(check)
            if not json:
                _print(check)
    failed = any(check.status == "fail" for check in checks)
    if json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    if failed:
        raise typer.Exit(1)


def _print(check: Check) -> None:
    mark = {"ok": "ok  ", "note": "note", "fail": "FAIL"}[check.status]
    typer.echo(f"{mark}  {check.name}: {one_line(check.detail)}")
    if check.advice:
        typer.echo(f"      -> {check.advice}")


def _versions() -> Iterator[Check]:
    from importlib.metadata import version

    names = ("kaizen-cli", "kaizen-sync", "kaizen-store", "litellm")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    yield Check(name="versions", status="ok", detail=f"{versions}, Python {platform.python_version()}")


def _env_file(env_file: EnvFile | None) -> Iterator[Check]:
    if env_file is not None:
        status: Literal["ok", "note"] = "note" if env_file.ignored else "ok"
        yield Check(name="settings", status=status, detail=env_file.described())


def _tracing() -> Iterator[Check]:
    """Whether agents started from this environment would be traced."""
    installed = importlib.util.find_spec("kaizen.auto") is not None
    value = os.environ.get("KAIZEN_AUTO_ENABLED", "")
    enabled = value.strip().lower() in ("true", "1", "yes", "on")
    if installed and enabled:
        yield Check(name="tracing", status="ok", detail="agents started here are traced")
        return
    yield Check(
        name="tracing",
        status="note",
        detail=f"agents started here are not traced: {_why_untraced(installed, value)}",
        advice="where the agents run: pip install kaizen-auto, set KAIZEN_AUTO_ENABLED=true, "
        "then `python -m kaizen.auto` there",
    )


def _why_untraced(installed: bool, value: str) -> str:
    if not installed:
        return "kaizen-auto is not installed in this environment"
    return (
        f"KAIZEN_AUTO_ENABLED is '{value}', not true" if value else "KAIZEN_AUTO_ENABLED is not set to true"
    )


def _phoenix(url: str | None, project: str | None) -> Iterator[Check]:
    from kaizen.sync import PhoenixSettings, PhoenixSource

    try:
        settings = PhoenixSettings.from_environ(os.environ, url=url, project=project)
        with PhoenixSource(settings) as source:
            version = source.ping()
            projects = source.projects()
    except SyncError as error:
        yield Check(name="phoenix", status="fail", detail=str(error), advice="phoenix serve")
        return
    if not version:
        yield Check(
            name="phoenix",
            status="note",
            detail=f"{settings.base_url} answers, without the version header that Phoenix sends",
            advice="check that a proxy in between passes x-phoenix-server-version",
        )
    else:
        yield _server(version, settings.base_url)
    if settings.project in projects:
        yield Check(name="project", status="ok", detail=f"'{settings.project}' exists")
    else:
        others = ", ".join(sorted(projects)[:10])
        yield Check(
            name="project",
            status="note",
            detail=f"Phoenix has no project '{settings.project}' yet; it has: {others}",
            advice="run an agent with KAIZEN_TRACING_PROJECT set to it, or choose another with --project",
        )


def _server(version: str, url: str) -> Check:
    """Whether the server has what the sync reads best by."""
    from kaizen.sync.sources.phoenix.source import reading_by

    how = reading_by(version)
    detail = f"version {version} at {url}"
    if how == "index":
        return Check(name="phoenix", status="ok", detail=detail)
    if how == "spans":
        return Check(
            name="phoenix",
            status="note",
            detail=f"{detail} lists no traces: every span is read to find the new ones",
            advice="update Phoenix to 13.15 or newer, which reads many times faster",
        )
    return Check(
        name="phoenix",
        status="fail",
        detail=f"{detail} cannot be asked for single traces",
        advice="update Phoenix to 13.9 or newer, better 13.15",
    )


def _store(where: StoreSettings) -> Iterator[Check]:
    try:
        with open_store(where) as store:
            store.check()
            namespaces = [namespace.id for namespace in store.list_namespaces()]
            location = store.location
            compared = _VECTOR_SEARCH.get(getattr(store, "vector_search", ""), "")
    except StoreError as error:
        yield Check(
            name="store",
            status="fail",
            detail=str(error),
            advice="choose another place with KAIZEN_DATA_DIR, or another backend with KAIZEN_BACKEND",
        )
        return
    held = f"namespaces: {', '.join(namespaces[:10])}" if namespaces else "no namespaces yet"
    yield Check(name="store", status="ok", detail=f"{where.backend} at {location} works; {held}{compared}")


# How a store that can do it either way compares meanings in a search.
_VECTOR_SEARCH = {
    "hnsw": "; meanings are searched by an index (pgvector)",
    "exact": "; meanings are compared one by one: install pgvector for more than 100,000 tips",
}


def _model(*, call: bool) -> Iterator[Check]:
    from kaizen.sync.llm.client import Model
    from kaizen.sync.settings import OFFLINE, ModelSettings

    try:
        settings = ModelSettings.from_environ(os.environ)
    except SyncError as error:
        yield Check(name="model", status="fail", detail=str(error))
        return
    if settings.tips_model == OFFLINE:
        detail = "tips are generated offline: no model writes them, no key is needed"
        yield Check(name="model", status="ok", detail=detail)
    names = [n for n in dict.fromkeys((settings.tips_model, settings.reconcile_model)) if n != OFFLINE]
    if names and not call:
        yield Check(name="model", status="note", detail=f"{', '.join(names)}; not called (--no-model)")
        return
    quick = settings.model_copy(update={"timeout_s": min(settings.timeout_s, _PING_TIMEOUT_S), "attempts": 1})
    for name in names:
        try:
            Model(name, quick).ping()
        except ModelError as error:
            yield Check(
                name="model",
                status="fail",
                detail=str(error),
                advice="set the provider's key (such as OPENAI_API_KEY), or another KAIZEN_TIPS_MODEL",
            )
        else:
            yield Check(name="model", status="ok", detail=f"{name} answers")
