"""The version of kaizen-recall."""

__version__ = "0.1.0"
