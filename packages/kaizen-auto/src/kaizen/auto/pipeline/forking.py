"""Running a method in the child of every fork, for as long as its object lives."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def call_in_child(method: Callable[[], Any]) -> None:
    """Have a bound method called after each fork in the child; its object is not kept alive by that."""
    if hasattr(os, "register_at_fork"):
        alive = weakref.WeakMethod(method)
        os.register_at_fork(after_in_child=lambda: (after := alive()) and after())
