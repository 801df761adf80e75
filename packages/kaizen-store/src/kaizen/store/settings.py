"""Which store to open: options, then the environment, then `.env`, then defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kaizen.store.errors import InvalidInputError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

DEFAULT_BACKEND = "filesystem"
DEFAULT_DATA_DIR = Path("~/.local/share/kaizen")
DEFAULT_NAMESPACE_ID = "kaizen"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """`backend` names an entry point of `kaizen.store.backends`; `data_dir` is made absolute, `~` expanded.

    Raises `InvalidInputError` for a `data_dir` that cannot be a path.
    """

    backend: str = DEFAULT_BACKEND
    data_dir: Path = DEFAULT_DATA_DIR
    namespace_id: str = DEFAULT_NAMESPACE_ID

    def __post_init__(self) -> None:
        object.__setattr__(self, "data_dir", _absolute(self.data_dir))

    @classmethod
    def from_environ(
        cls,
        environ: Mapping[str, str],
        *,
        backend: str | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        namespace_id: str | None = None,
    ) -> StoreSettings:
        """Read `KAIZEN_BACKEND`, `KAIZEN_DATA_DIR` and `KAIZEN_NAMESPACE_ID`; what is passed wins.

        An empty variable counts as unset.
        """
        return cls(
            backend=(backend or environ.get("KAIZEN_BACKEND") or DEFAULT_BACKEND).strip().lower(),
            data_dir=Path(data_dir or environ.get("KAIZEN_DATA_DIR") or DEFAULT_DATA_DIR),
            namespace_id=namespace_id or environ.get("KAIZEN_NAMESPACE_ID") or DEFAULT_NAMESPACE_ID,
        )


def _absolute(directory: Path) -> Path:
    if "\0" in str(directory):
        raise InvalidInputError(f"KAIZEN_DATA_DIR {str(directory)!r} contains NUL and cannot be a path")
    try:
        return directory.expanduser().absolute()
    except RuntimeError as exc:
        raise InvalidInputError(
            f"KAIZEN_DATA_DIR {str(directory)!r} names a home directory that is not known: "
            "set KAIZEN_DATA_DIR to an absolute path"
        ) from exc
