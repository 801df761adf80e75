"""Write a header and commits as lines of JSON, and read them back: a journal, or an export."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn, TypeVar

from kaizen.store.commits import check_follows
from kaizen.store.errors import StoreError
from kaizen.store.model import Applied, Commit, Entity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORMAT = 1

_Kind = TypeVar("_Kind")


@dataclass(slots=True, kw_only=True)
class CommitRecord:
    """One commit as its line has it: each entity it touched, as it was after (None: deleted)."""

    id: str
    version: int
    at: datetime
    actor: str
    reason: str
    run_id: str | None
    after: dict[str, Entity | None]

    def commit(self, namespace_id: str, changes: Iterable[Applied]) -> Commit:
        """Return the commit, given its changes with what was there before."""
        return Commit(
            id=self.id,
            namespace_id=namespace_id,
            version=self.version,
            at=self.at,
            actor=self.actor,
            reason=self.reason,
            run_id=self.run_id,
            changes=tuple(changes),
        )


def encode_header(namespace_id: str, created_at: datetime) -> bytes:
    """Write the first line of a journal."""
    return _encode(
        {"kaizen_journal": FORMAT, "namespace_id": namespace_id, "created_at": _encode_time(created_at)}
    )


def decode_header(value: object, namespace_id: str) -> datetime:
    """Return when the namespace was created; raise `ValueError` for anything but a header of its journal."""
    created_at = decode_any_header(value)
    found = _field(_object(value, "a header"), "namespace_id", str)
    if found != namespace_id:
        raise ValueError(f"this is the journal of namespace {found!r}, not of {namespace_id!r}")
    return created_at


def decode_any_header(value: object) -> datetime:
    """Do as `decode_header` does, for a journal of any namespace."""
    header = _object(value, "a header")
    version = _field(header, "kaizen_journal", int)
    if version > FORMAT:
        raise StoreError(
            f"namespace {header.get('namespace_id')!r} was written in journal format {version} and this "
            f"kaizen-store reads up to {FORMAT}: upgrade kaizen-store"
        )
    return _decode_time(_field(header, "created_at", str))


def encode_commit(commit: Commit) -> bytes:
    """Write a commit as a line, with the newline that ends it."""
    return _encode(
        {
            "version": commit.version,
            "id": commit.id,
            "at": _encode_time(commit.at),
            "actor": commit.actor,
            "reason": commit.reason,
            "run_id": commit.run_id,
            "changes": [_encode_change(change) for change in commit.changes],
        }
    )


def decode_commit(value: object, namespace_id: str) -> CommitRecord:
    """Return the commit of a line; raise `ValueError` that says what is wrong with it."""
    fields = _object(value, "a commit")
    at = _decode_time(_field(fields, "at", str))
    changes = _field(fields, "changes", list)
    after = dict([_decode_change(change, namespace_id, at) for change in changes])
    if len(after) != len(changes) or not changes:
        raise ValueError("this is not a commit: it changes an entity twice, or none")
    return CommitRecord(
        id=_field(fields, "id", str),
        version=_field(fields, "version", int),
        at=at,
        actor=_field(fields, "actor", str),
        reason=_field(fields, "reason", str),
        run_id=None if fields.get("run_id") is None else _field(fields, "run_id", str),
        after=after,
    )


def replay_commits(records: Iterable[CommitRecord], namespace_id: str) -> Iterator[Commit]:
    """Return the commits of the records of a namespace, first to last, each with what was there before.

    Raises `ValueError` for a record that does not follow the one before it.
    """
    current: dict[str, Entity | None] = {}
    for version, record in enumerate(records, 1):
        if record.version != version:
            raise ValueError(f"this is version {record.version} where {version} must follow")
        changes: list[Applied] = []
        for entity_id, after in record.after.items():
            before = current.get(entity_id)
            check_follows(entity_id, before, after)
            changes.append(Applied(before=before, after=after))
        current |= record.after
        yield record.commit(namespace_id, changes)


def parse_line(line: bytes) -> object:
    """Return the JSON value of a line; raise `ValueError` if it is not JSON."""
    text = line.decode()
    try:
        value, end = _DECODER.raw_decode(text)
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc
    if text[end:].strip():
        raise ValueError(f"something follows the JSON value that ends at character {end}")
    return value


def _encode_change(change: Applied) -> dict[str, object]:
    entity = change.after
    if entity is None:
        return {"delete": change.entity_id}
    return {
        "put": {
            "id": entity.id,
            "type": entity.type,
            "revision": entity.revision,
            "created_at": _encode_time(entity.created_at),
            "content": entity.content,
            "metadata": entity.metadata,
        }
    }


def _decode_change(value: object, namespace_id: str, at: datetime) -> tuple[str, Entity | None]:
    change = _object(value, "a change")
    if "delete" in change:
        return _field(change, "delete", str), None
    put = _object(change.get("put"), "a put")
    entity_id = _field(put, "id", str)
    revision = _field(put, "revision", int)
    return entity_id, Entity(
        id=entity_id,
        namespace_id=namespace_id,
        type=_field(put, "type", str),
        content=_field(put, "content", str),
        metadata=_field(put, "metadata", dict),
        created_at=at if revision == 1 else _decode_time(_field(put, "created_at", str)),
        updated_at=at,
        revision=revision,
    )


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be a JSON object")
    return value


def _field(fields: dict[str, object], name: str, kind: type[_Kind]) -> _Kind:
    value = fields.get(name)
    if not isinstance(value, kind):
        raise ValueError(f"{name!r} is missing or is no {kind.__name__}")
    return value


def _encode(value: dict[str, object]) -> bytes:
    return _ENCODER.encode(value).encode() + b"\n"


def _encode_time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _decode_time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    # fromisoformat gives this very object for Z; a time with another offset was not written by us.
    if time.tzinfo is not UTC:
        raise ValueError(f"time {text!r} is not in UTC")
    return time


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
