"""Speak MCP."""
