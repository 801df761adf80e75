"""The version of kaizen-store, read by the build."""

__version__ = "0.1.0"
