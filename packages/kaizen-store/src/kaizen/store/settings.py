"""Which store to open: options, then the environment, then `.env`, then defaults."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from kaizen.store.errors import InvalidInputError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

DEFAULT_BACKEND = "sqlite"
DEFAULT_DATA_DIR = Path("~/.local/share/kaizen")
DEFAULT_NAMESPACE_ID = "kaizen"
DEFAULT_EMBEDDER = "wordllama"

_POSTGRES_SCHEMES = ("postgres", "postgresql")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """`backend` names an entry point of `kaizen.store.backends`.

    `data_dir` is made absolute, `~` expanded. `pg_dsn` is a libpq connection string or URL; empty leaves all
    to libpq's own variables. `embedder` names what embeds (`none`: search by words only).

    Raises `InvalidInputError` for a `data_dir` that cannot be a path.
    """

    backend: str = DEFAULT_BACKEND
    data_dir: Path = DEFAULT_DATA_DIR
    namespace_id: str = DEFAULT_NAMESPACE_ID
    pg_dsn: str = field(default="", repr=False)
    embedder: str = DEFAULT_EMBEDDER

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
        """Read `KAIZEN_BACKEND`, `KAIZEN_DATA_DIR`, `KAIZEN_NAMESPACE_ID` and so on.

        What is passed wins; `backend` and `KAIZEN_BACKEND` may also be one URL, see `from_url`. An empty
        variable counts as unset.
        """
        settings = cls(
            data_dir=Path(data_dir or environ.get("KAIZEN_DATA_DIR") or DEFAULT_DATA_DIR),
            namespace_id=namespace_id or environ.get("KAIZEN_NAMESPACE_ID") or DEFAULT_NAMESPACE_ID,
            pg_dsn=environ.get("KAIZEN_PG_DSN") or "",
            embedder=(environ.get("KAIZEN_EMBEDDER") or DEFAULT_EMBEDDER).strip(),
        )
        return settings.at((backend or environ.get("KAIZEN_BACKEND") or DEFAULT_BACKEND).strip())

    @classmethod
    def from_url(cls, url: str) -> StoreSettings:
        """A store by one URL: `sqlite:DIRECTORY`, `filesystem:DIRECTORY`, `postgresql://user@host/database`.

        A directory may be written with or without `//` before it: `sqlite:///srv/kaizen`, `sqlite:data`.
        """
        return cls().at(url)

    def at(self, backend: str) -> StoreSettings:
        """These settings with the store that a backend's name or a URL says."""
        scheme, colon, rest = backend.partition(":")
        name = scheme.strip().lower()
        if not colon:
            return replace(self, backend=name)
        if name in _POSTGRES_SCHEMES:
            return replace(self, backend="postgres", pg_dsn=backend)
        path = unquote(rest[2:] if rest.startswith("//") else rest)
        if not name or not path:
            raise InvalidInputError(
                f"{backend!r} names no store: write sqlite:DIRECTORY, filesystem:DIRECTORY or "
                "postgresql://user@host/database"
            )
        return replace(self, backend=name, data_dir=Path(path))


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
