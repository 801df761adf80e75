"""The version of kaizen-cli, read by the build."""

__version__ = "0.1.0"
