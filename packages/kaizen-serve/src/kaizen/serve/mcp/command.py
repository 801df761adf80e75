"""Add the command `kaizen mcp`. Imported by kaizen-cli, whose Typer it needs."""

from __future__ import annotations


def mcp_command() -> None:
    """Speak MCP over standard input and output, for coding agents on this machine."""
