"""Command groups that import a command only when it is run or described."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import typer
import typer.main
from typer.core import TyperGroup

PLUGINS = "kaizen.cli.commands"

# A command of ours: `module:function`, or a group of them.
Source = str | TyperGroup


class Group(TyperGroup):
    """A group whose commands are imported one by one; `default` runs when no command is named.

    `commands` are words with a blank between them: the module of this group that holds a command, and after
    a colon its function if that is called otherwise.
    """

    def __init__(self, name: str, help: str, commands: str, *, default: str | None = None) -> None:
        super().__init__(name=name, help=help, no_args_is_help=default is None, rich_markup_mode=None)
        sources: dict[str, Source] = {}
        for word in commands.split():
            module, _, function = word.partition(":")
            # `import` cannot be the name of a module.
            sources[module.rstrip("_")] = f"kaizen.cli.{name}.{module}:{function or module}"
        self.commands = Commands(sources)
        self._default = default

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_plain = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        # While the shell completes, what is not written yet may be another command.
        if self._default and is_plain and not ctx.resilient_parsing:
            args = [self._default, *args]
        return super().parse_args(ctx, args)


class Commands(MutableMapping[str, Any]):
    """Commands by name. To look one up imports it; to list the names imports nothing.

    With `plugins`, optional packages add theirs through the entry-point group `kaizen.cli.commands`. Looking
    for these reads the metadata of everything installed (60 to 100 ms), so it waits until the names are
    listed or an unknown one is asked for.
    """

    def __init__(self, sources: Mapping[str, Source], *, plugins: bool = False) -> None:
        self._sources = sources
        self._loaded: dict[str, Any] = {}
        self._plugins: dict[str, Any] | None = None if plugins else {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded and name in self._sources:
            source = self._sources[name]
            self._loaded[name] = _command(name, _function(source)) if isinstance(source, str) else source
        if name in self._loaded:
            return self._loaded[name]
        return self._found_plugins()[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._sources, *self._loaded, *self._found_plugins()]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _found_plugins(self) -> dict[str, Any]:
        if self._plugins is None:
            self._plugins = {}
            for entry in entry_points(group=PLUGINS):
                try:
                    self._plugins[entry.name] = _command(entry.name, entry.load())
                except Exception as error:  # noqa: BLE001 - a broken plugin must not break the others
                    why = " ".join(f"{type(error).__name__}: {error}".split())
                    typer.echo(
                        f"Warning: the command '{entry.name}' ({entry.value}) is left out: {why}", err=True
                    )
        return self._plugins


def _as_declared(metavar: str, _context: Any) -> list[str]:
    return [metavar]


def _function(source: str) -> Callable[..., None]:
    module, _, name = source.partition(":")
    function: Callable[..., None] = getattr(import_module(module), name)
    return function


def _command(name: str, function: Callable[..., None] | typer.Typer) -> Any:
    """Return the command that a function is, or the group that an app of Typer is."""
    if isinstance(function, typer.Typer):
        group: Any = typer.main.get_command(function)
        group.name = name
        return group
    # Completion belongs to the whole app, and errors are printed in one place, `kaizen.cli.failing`.
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name)(function)
    command: Any = typer.main.get_command(app)
    for parameter in command.params:
        if parameter.param_type_name == "argument" and parameter.metavar:
            # As it is declared: Typer would put brackets around `[NAMESPACE] ID`.
            parameter.get_usage_pieces = partial(_as_declared, parameter.metavar)
    return command
