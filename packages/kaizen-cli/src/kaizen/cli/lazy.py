"""Command groups that import a command only when it is run or described."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol

import typer
import typer.main
from typer.core import TyperGroup

PLUGINS = "kaizen.cli.commands"


class Other(Protocol):
    """A command that another package adds, as an entry point is: its name, its place, its import."""

    @property
    def name(self) -> str: ...

    @property
    def value(self) -> str: ...

    def load(self) -> Callable[..., None]: ...


FindOthers = Callable[[], Iterable[Other]]

# A command of ours: `module:function`, or a group of them.
Source = str | TyperGroup


class Group(TyperGroup):
    """A group whose commands are imported one by one; `default` runs when no command is named.

    `commands` are words with a blank between them: the module of this group that holds a command, and after
    a colon its function if that is called otherwise.
    """

    def __init__(
        self,
        name: str,
        help: str,
        commands: str,
        *,
        default: str | None = None,
        find_others: FindOthers | None = None,
    ) -> None:
        super().__init__(name=name, help=help, no_args_is_help=default is None, rich_markup_mode=None)
        sources: dict[str, Source] = {}
        for word in commands.split():
            module, _, function = word.partition(":")
            # `import` cannot be the name of a module.
            sources[module.rstrip("_")] = f"kaizen.cli.{name}.{module}:{function or module}"
        self.commands = Commands(sources, find_others=find_others)
        self._default = default

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_plain = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        # While the shell completes, what is not written yet may be another command.
        if self._default and is_plain and not ctx.resilient_parsing:
            args = [self._default, *args]
        return super().parse_args(ctx, args)


class Commands(MutableMapping[str, Any]):
    """Commands by name. To look one up imports it; to list the names imports those of others only.

    `find_others` returns the commands that other packages add. That reads the metadata of everything
    installed (60 to 100 ms), so it waits until the names are listed or an unknown one is asked for.
    """

    def __init__(self, sources: Mapping[str, Source], *, find_others: FindOthers | None = None) -> None:
        self._sources = sources
        self._loaded: dict[str, Any] = {}
        self._find_others = find_others
        self._others: dict[str, Other] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded and name in self._sources:
            source = self._sources[name]
            self._loaded[name] = _command(name, _function(source)) if isinstance(source, str) else source
        if name not in self._loaded:
            self._load(self._found_others()[name])
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        for name in list(self._found_others()):
            # One that does not import is not there.
            self.get(name)
        return iter(dict.fromkeys([*self._sources, *self._others, *self._loaded]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _found_others(self) -> Mapping[str, Other]:
        if self._find_others is not None:
            self._others = {other.name: other for other in self._find_others()}
            self._find_others = None
        return self._others

    def _load(self, other: Other) -> None:
        """Import a command of another package; raise KeyError, which breaks no other, if that fails."""
        try:
            self._loaded[other.name] = _command(other.name, other.load())
        except Exception as error:
            del self._others[other.name]
            why = " ".join(f"{type(error).__name__}: {error}".split())
            typer.echo(f"Warning: the command '{other.name}' ({other.value}) is left out: {why}", err=True)
            raise KeyError(other.name) from error


def find_plugins() -> Iterable[Other]:
    """Return the commands that optional packages add through the entry-point group `kaizen.cli.commands`."""
    return entry_points(group=PLUGINS)


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
