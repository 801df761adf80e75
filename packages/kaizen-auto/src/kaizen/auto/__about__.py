"""The version of kaizen-auto, read by the build."""

__version__ = "0.1.0"
