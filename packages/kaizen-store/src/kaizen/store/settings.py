"""Which store to open: options, then the environment, then `.env`, then defaults."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_DATA_DIR = Path("~/.local/share/kaizen")
DEFAULT_NAMESPACE_ID = "kaizen"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """`backend` names an entry point of `kaizen.store.backends`; `data_dir` is absolute."""

    backend: str = "filesystem"
    data_dir: Path = DEFAULT_DATA_DIR
    namespace_id: str = DEFAULT_NAMESPACE_ID

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
        directory = data_dir or environ.get("KAIZEN_DATA_DIR") or DEFAULT_DATA_DIR
        return cls(
            backend=(backend or environ.get("KAIZEN_BACKEND") or "filesystem").strip().lower(),
            data_dir=Path(directory).expanduser().absolute(),
            namespace_id=namespace_id or environ.get("KAIZEN_NAMESPACE_ID") or DEFAULT_NAMESPACE_ID,
        )
