"""Langfuse as a source of traces, by its public API."""
