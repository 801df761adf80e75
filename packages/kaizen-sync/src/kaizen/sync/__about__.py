"""The version of kaizen-sync, read by the build."""

__version__ = "0.1.0"
