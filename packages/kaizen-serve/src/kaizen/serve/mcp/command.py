"""Add the command `kaizen mcp`. Imported by kaizen-cli, whose Typer it needs."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from kaizen.cli.options import BackendOption, DataDirOption, NamespaceOption, store_settings

if TYPE_CHECKING:
    from kaizen.store import Store, StoreSettings


def mcp_command(
    namespace: NamespaceOption = None, backend: BackendOption = None, data_dir: DataDirOption = None
) -> None:
    """Speak MCP over standard input and output, for a coding agent that starts this command.

    It may recall and search tips, suggest one, which a person decides on, and report how a run ended.
    """
    from kaizen.store import open_store

    where = store_settings(backend, data_dir, namespace)
    with open_store(where) as store:
        # What it reads and suggests has a place then.
        store.create_namespace(where.namespace_id, exist_ok=True)
        serve_stdio(store, where)


def serve_stdio(store: Store, where: StoreSettings) -> None:
    """Answer until the standard input ends."""
    import asyncio

    from mcp.server.stdio import stdio_server

    from kaizen.serve.context import Context
    from kaizen.serve.mcp.server import build_server
    from kaizen.serve.security.callers import Caller
    from kaizen.serve.settings import ServeSettings

    caller = Caller(name=f"{_user()} by MCP", scopes=frozenset({"read", "write"}))
    context = Context(ServeSettings(), store, where)
    server = build_server(context, lambda _request: caller)

    async def run() -> None:
        async with stdio_server() as (read_stream, write_stream):
            await server.run(read_stream, write_stream, server.create_initialization_options())

    try:
        asyncio.run(run())
    finally:
        context.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may have no name for its user.
        return "somebody"
