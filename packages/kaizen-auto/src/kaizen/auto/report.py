"""What tracing does in this process."""

from __future__ import annotations


class Status:
    pass


def status() -> Status:
    return Status()
