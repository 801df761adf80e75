"""Move namespaces with all their history: from store to store, and to and from lines of JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING

from kaizen.store.errors import ConflictError, CorruptDataError, NotFoundError
from kaizen.store.history import lines as records
from kaizen.store.history.reverting import is_same_state, read_commits
from kaizen.store.model import Put

if TYPE_CHECKING:
    from kaizen.store.contract import Store
    from kaizen.store.model import Commit, Entity, Namespace

Progress = Callable[[int], None]
"""Gets the version reached so far."""

_COMMITS_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferResult:
    """The result of a transfer: how many commits were new, and what is there now."""

    namespace_id: str
    commits: int
    version: int
    entities: int
    digest: str


def copy_namespace(
    source: Store, target: Store, namespace_id: str, *, progress: Progress = lambda _: None
) -> TransferResult:
    """Copy a namespace with all its commits; called again, continue where the last call ended.

    Raises `ConflictError` where the target has commits of its own, or in the end differs.
    """
    namespace = source.get_namespace(namespace_id)
    added = 0
    to_copy = read_commits(source, namespace_id, after=_common(source, target, namespace))
    while batch := list(islice(to_copy, _COMMITS_AT_ONCE)):
        target.restore(namespace_id, batch)
        added += len(batch)
        progress(batch[-1].version)
    digest = namespace_digest(target, namespace_id)
    if digest != namespace_digest(source, namespace_id) or source.count(namespace_id) != target.count(
        namespace_id
    ):
        raise _differs(namespace_id, "differs from what was copied; was one of them changed meanwhile?")
    return _result(target, namespace_id, added, digest)


def export_lines(store: Store, namespace_id: str) -> Iterator[bytes]:
    """Write the namespace as JSON lines: a header, then a line for each commit, as in a journal."""
    namespace = store.get_namespace(namespace_id)
    yield records.encode_header(namespace_id, namespace.created_at)
    yield from map(records.encode_commit, read_commits(store, namespace_id))


def import_lines(
    store: Store, namespace_id: str, lines: Iterable[bytes], *, name: str, progress: Progress = lambda _: None
) -> TransferResult:
    """Make the namespace of an export, under this id; called again, continue where the last call ended.

    Raises `CorruptDataError` with `name` and the line for what is no export, `ConflictError` where the
    namespace has commits of its own.
    """
    parsed = _Lines(lines, namespace_id, name)
    store.create_namespace(namespace_id, exist_ok=True, created_at=parsed.created_at)
    known = store.get_namespace(namespace_id).version
    commits = parsed.commits()
    # What an import that was cut short left must be the beginning of this one.
    for commit in islice(commits, known):
        _check_same(store, commit)
    added = 0
    while batch := list(islice(commits, _COMMITS_AT_ONCE)):
        store.restore(namespace_id, batch)
        added += len(batch)
        progress(parsed.version)
    if store.get_namespace(namespace_id).version != parsed.version:
        raise _differs(namespace_id, "has more commits than the file")
    return _result(store, namespace_id, added, namespace_digest(store, namespace_id))


def read_entities(lines: Iterable[bytes], namespace_id: str, *, name: str) -> dict[str, Entity]:
    """Return the entities that an export ends with, by id."""
    entities: dict[str, Entity | None] = {}
    for commit in _Lines(lines, namespace_id, name).commits():
        entities |= {change.entity_id: change.after for change in commit.changes}
    return {entity_id: entity for entity_id, entity in entities.items() if entity is not None}


def merge_entities(
    store: Store, namespace_id: str, entities: Mapping[str, Entity], *, actor: str, reason: str
) -> Commit | None:
    """Put entities of another store, without their history, in one commit; None if all are there already."""
    current = store.get_many(namespace_id, list(entities))
    puts = [
        Put(id=entity.id, type=entity.type, content=entity.content, metadata=entity.metadata)
        for entity in entities.values()
        if entity.id not in current or not is_same_state(entity, current[entity.id])
    ]
    if not puts:
        return None
    expected = {str(put.id): current[put.id].revision if put.id in current else 0 for put in puts}
    return store.commit(namespace_id, puts, expected=expected, actor=actor, reason=reason)


def namespace_digest(store: Store, namespace_id: str) -> str:
    """Return the SHA-256 of a namespace's creation time and commits, the same in every store."""
    total = sha256(records.encode_header("", store.get_namespace(namespace_id).created_at))
    for commit in read_commits(store, namespace_id):
        total.update(records.encode_commit(commit))
    return total.hexdigest()


class _Lines:
    """An export being read; `line` is the one reached, `version` that of the last commit read."""

    def __init__(self, lines: Iterable[bytes], namespace_id: str, name: str) -> None:
        self._lines = iter(lines)
        self._namespace_id = namespace_id
        self._name = name
        self._line = 1
        self.version = 0
        with self._naming_the_line():
            self.created_at = records.decode_any_header(records.parse_line(next(self._lines, b"")))

    def commits(self) -> Iterator[Commit]:
        with self._naming_the_line():
            for commit in records.replay_commits(self._records(), self._namespace_id):
                self.version = commit.version
                yield commit

    def _records(self) -> Iterator[records.CommitRecord]:
        for line in self._lines:
            self._line += 1
            yield records.decode_commit(records.parse_line(line), self._namespace_id)

    @contextmanager
    def _naming_the_line(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise CorruptDataError(
                f"{self._name}, line {self._line}: {error}; export it anew with `kaizen entities export`",
                path=self._name,
                line=self._line,
            ) from error


def _common(source: Store, target: Store, namespace: Namespace) -> int:
    """Return the version up to which the target has the same commits, which is all that it has."""
    try:
        there = target.get_namespace(namespace.id)
    except NotFoundError:
        there = target.create_namespace(namespace.id, created_at=namespace.created_at)
    if there.created_at != namespace.created_at or there.version > namespace.version:
        raise _differs(namespace.id, "is not a copy of this one")
    if there.version:
        (last,) = source.commits(namespace.id, after=there.version - 1, limit=1)
        _check_same(target, last)
    return there.version


def _check_same(store: Store, commit: Commit) -> None:
    (found,) = store.commits(commit.namespace_id, after=commit.version - 1, limit=1)
    if found.id != commit.id:
        raise _differs(commit.namespace_id, f"has another commit of version {commit.version}")


def _result(store: Store, namespace_id: str, added: int, digest: str) -> TransferResult:
    return TransferResult(
        namespace_id=namespace_id,
        commits=added,
        version=store.get_namespace(namespace_id).version,
        entities=store.count(namespace_id),
        digest=digest,
    )


def _differs(namespace_id: str, how: str) -> ConflictError:
    return ConflictError(
        f"namespace {namespace_id!r} of the target {how}: choose another namespace or store",
        namespace_id=namespace_id,
    )
