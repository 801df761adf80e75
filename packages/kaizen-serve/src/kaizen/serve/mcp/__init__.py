"""Speak MCP: the same tools over HTTP (`/mcp`) and over standard input and output (`kaizen mcp`)."""
