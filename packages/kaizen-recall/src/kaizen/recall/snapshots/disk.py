"""Keep the last snapshot on disk, for the next start and for when its source is away."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kaizen.recall.snapshots.document import MAX_BYTES

if TYPE_CHECKING:
    from kaizen.recall.snapshots.settings import Settings
    from kaizen.recall.snapshots.sources import Fetched


class Saved(NamedTuple):
    data: bytes
    etag: str
    saved_at: float


def save(settings: Settings, fetched: Fetched) -> None:
    """Replace the file of this source and namespace; do nothing where that is not possible."""
    path = _path(settings)
    header = json.dumps({"etag": fetched.etag, "saved_at": time.time()})
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # It is made with the mode 0600, under a name of its own.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(header.encode() + b"\n" + fetched.data)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)


def load(settings: Settings) -> Saved | None:
    """Return what was saved; None if nothing was, or another user could have written it."""
    try:
        with _path(settings).open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_mode & 0o077 or (hasattr(os, "getuid") and status.st_uid != os.getuid()):
                return None
            header = json.loads(file.readline(10_000))
            return Saved(file.read(MAX_BYTES + 1), str(header["etag"]), float(header["saved_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _path(settings: Settings) -> Path:
    # All that says which store or server is meant, and may hold credentials: another tenant has another file.
    variables = (os.environ.get(name, "") for name in ("KAIZEN_BACKEND", "KAIZEN_DATA_DIR", "KAIZEN_PG_DSN"))
    is_absolute = settings.source.startswith(("http://", "https://", "/"))
    directory = "" if is_absolute else os.getcwd()
    key = json.dumps([settings.source, settings.namespace_id, settings.token, directory, *variables])
    name = hashlib.sha256(key.encode()).hexdigest()[:32]
    return _folder() / f"{name}.json"


def _folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(cache) if cache else Path.home() / ".cache") / "kaizen" / "recall"
