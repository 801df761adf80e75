"""`kaizen sync NAME` for every source that is installed: its options are those that its settings declare."""

from __future__ import annotations

import inspect
import os
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from kaizen.cli.sync.syncing import Projects, add_sync_options, choose_projects, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic.fields import FieldInfo

    from kaizen.sync import StoredProject
    from kaizen.sync.sources import SourceType

_OWN_COMMAND = "phoenix"


class SourceCommand(NamedTuple):
    """The command of a source that is installed, built when it is run or described."""

    name: str

    @property
    def value(self) -> str:
        return f"the source '{self.name}'"

    def load(self) -> Callable[..., None]:
        from kaizen.sync.sources import find_source

        return command_of(find_source(self.name))


def find_commands() -> list[SourceCommand]:
    """Return a command for each source that is installed and has none of its own."""
    from kaizen.sync.sources import available_sources

    return [SourceCommand(name) for name in available_sources() if name != _OWN_COMMAND]


def explain_unknown(word: str, error: typer.TyperException) -> Exception:
    """Return what is wrong with a word that is neither a command nor a source that can be imported."""
    from kaizen.sync import SettingsError, SourceError
    from kaizen.sync.sources import find_source

    try:
        find_source(word)
    except SettingsError as unknown:
        # Of a slip in typing is said already what was meant.
        if "Did you mean" not in error.message:
            error.message = f"{error.message.rstrip('.')}; {unknown}"
    except SourceError as broken:
        return broken
    return error


def command_of(source_type: SourceType) -> Callable[..., None]:
    """Return the command that syncs a source of that type."""
    settings_type = source_type.settings_type
    has_projects = hasattr(source_type, "projects") and "project" in settings_type.model_fields

    def choose(**given: Any) -> Projects:
        projects = given.pop("project") if has_projects else None
        all_projects, annotate = given.pop("all_projects", False), given.pop("annotate", False)
        # A switch that is not given leaves the variable its say.
        settings = settings_type.read(os.environ, **{name: value or None for name, value in given.items()})
        if has_projects:
            return choose_projects(
                source_type, settings, projects, all_projects=all_projects, annotate=annotate
            )
        return Projects(choose=lambda: [partial(open_source, source_type, settings)], annotate=annotate)

    parameters = list(_parameters(source_type, has_projects=has_projects))
    choose.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    choose.__doc__ = inspect.getdoc(source_type)
    return add_sync_options(choose)


def stored_project(name: str, project: str, *, url: str | None = None) -> StoredProject:
    """Return a project as the store keeps it; its spans have addresses if the source is still installed."""
    from kaizen.sync import PhoenixSettings, StoredProject, SyncError
    from kaizen.sync.sources import find_source

    try:
        source_type = find_source(name)
        settings = (
            PhoenixSettings.from_environ(os.environ, url=url)
            if name == _OWN_COMMAND
            else source_type.settings_type.read(os.environ, project=project)
        )
        with open_source(source_type, settings) as source:
            return StoredProject(name, project, source.span_url)
    except SyncError:
        if name == _OWN_COMMAND:
            raise
        return StoredProject(name, project, lambda trace_id, span_id: "")


def _parameters(source_type: SourceType, *, has_projects: bool) -> Iterator[inspect.Parameter]:
    """Yield the argument and the options of a source, as Typer reads them off a function."""
    fields = source_type.settings_type.model_fields
    for name, field in sorted(fields.items(), key=lambda item: "argument" not in _extra(item[1])):
        if _extra(field).keys() & {"argument", "option"}:
            yield _parameter(name, field, is_list=has_projects and name == "project")
    if has_projects:
        yield _switch("all_projects", "--all-projects", "Every project of the source, one after another.")
    if hasattr(source_type, "annotator"):
        yield _switch("annotate", "--annotate", "Write into the source what became of each trace.")


def _parameter(name: str, field: FieldInfo, *, is_list: bool) -> inspect.Parameter:
    extra, help_ = _extra(field), _help(field)
    if field.annotation is bool:
        return _switch(name, str(extra["option"]), help_)
    is_list = is_list or "tuple" in str(field.annotation)
    kind: Any = list[str] | None if is_list else str | None
    how = (
        typer.Argument(metavar=str(extra["argument"]), help=help_, show_default=False)
        if "argument" in extra
        else typer.Option(str(extra["option"]), help=help_, show_default=False)
    )
    return inspect.Parameter(
        name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=Annotated[kind, how]
    )


def _switch(name: str, option: str, help_: str) -> inspect.Parameter:
    annotation = Annotated[bool, typer.Option(option, help=help_)]
    return inspect.Parameter(
        name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=False, annotation=annotation
    )


def _help(field: FieldInfo) -> str:
    """Return what the settings say of a field, and by which variable it may be set."""
    alias = field.validation_alias
    variables = [alias] if isinstance(alias, str) else getattr(alias, "choices", [])
    named = f" [env: {variables[0]}]" if variables else ""
    return f"{field.description}{named}"


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
