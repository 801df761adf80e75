"""Reading records of a server, whose surprises are told with advice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from kaizen.sync.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def parse(title: str, read: Callable[[Any], T], value: Any, path: str) -> T:
    """Read a record that came from that path; raises `SourceError` if it is not as expected."""
    try:
        return read(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(
            f"{path} of {title} gave a record that Kaizen does not understand ({error!r}); "
            "run `kaizen doctor` and report it with the server's version"
        ) from error
