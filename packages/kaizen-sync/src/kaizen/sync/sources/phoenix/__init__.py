"""Arize Phoenix as a source of traces."""
