"""A store in a bucket: each commit is one object, named by its version and created at most once.

Written for a directory; any object store will do that can create an object only if it is absent. Who wants
to commit makes version n + 1 and tries to create it; if somebody else did, it reads that and tries again.
"""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice

from kaizen.store import ConflictError, Namespace, NotFoundError, StoreError, backend, uuid7


@dataclass
class Loaded:
    """What was read of a namespace so far: its commits as bytes, since what is returned is the caller's."""

    header: bytes
    state: backend.NamespaceState
    objects: list[bytes] = field(default_factory=list)

    def commits(self, namespace_id):
        decoded = (backend.decode_commit(backend.parse_line(data), namespace_id) for data in self.objects)
        return backend.replay_commits(decoded, namespace_id)


class BucketStore(backend.BaseStore):
    @staticmethod
    def open(settings):
        return BucketStore(settings.data_dir, settings.embedder)

    def __init__(self, directory, embedder):
        self._directory, self._lock, self._closed = directory, threading.RLock(), False
        self._loaded = {}
        self._replica = backend.Replica(directory / ".search", embedder=embedder)

    @property
    def location(self):
        return str(self._directory)

    def _create_namespace(self, namespace_id, *, exist_ok, created_at):
        created = self._create(namespace_id, 0, backend.encode_header(namespace_id, created_at))
        if not created and not exist_ok:
            raise ConflictError(f"namespace {namespace_id!r} exists already", namespace_id=namespace_id)
        return self._get_namespace(namespace_id)

    def _get_namespace(self, namespace_id):
        with self._read(namespace_id) as (state, _):
            return Namespace(id=namespace_id, created_at=state.created_at, version=state.version)

    def _list_namespaces(self):
        with self._errors():
            names = sorted(path.parent.name for path in self._directory.glob(f"[!.]*/{0:012d}.json"))
        return [self._get_namespace(name) for name in names]

    def _delete_namespace(self, namespace_id):
        with self._read(namespace_id):
            gone = self._directory / f".deleted-{uuid7()}"
            os.rename(self._directory / namespace_id, gone)
            shutil.rmtree(gone, ignore_errors=True)

    def _commit(self, namespace_id, request):
        while True:
            with self._read(namespace_id) as (state, _):
                commit = backend.next_commit(namespace_id, request, head=state.head(), current=state.entities)
                if self._create(namespace_id, commit.version, backend.encode_commit(commit)):
                    return commit

    def _restore(self, namespace_id, commits):
        with self._read(namespace_id) as (state, _):
            backend.check_restored(namespace_id, commits, version=state.version, current=state.entities)
            for commit in commits:
                if not self._create(namespace_id, commit.version, backend.encode_commit(commit)):
                    raise ConflictError(f"{namespace_id!r} was changed meanwhile", namespace_id=namespace_id)

    def _get_many(self, namespace_id, entity_ids):
        with self._read(namespace_id) as (state, _):
            return {
                each: backend.copy_entity(state.entities[each])
                for each in entity_ids
                if each in state.entities
            }

    def _history(self, namespace_id, entity_id):
        with self._read(namespace_id) as (_, commits):
            touching = (
                replace(commit, changes=tuple(c for c in commit.changes if c.entity_id == entity_id))
                for commit in commits
            )
            return [commit for commit in touching if commit.changes]

    def _commits(self, namespace_id, *, run_id, after, limit):
        with self._read(namespace_id) as (_, commits):
            wanted = (c for c in islice(commits, after, None) if run_id in (None, c.run_id))
            return list(islice(wanted, limit))

    def _page(self, namespace_id, selected, *, after, limit):
        with self._read(namespace_id) as (state, _):
            return state.page(selected, after=after, limit=limit)

    def _count(self, namespace_id, selected):
        with self._read(namespace_id) as (state, _):
            return state.count(selected)

    def _search(self, namespace_id, query, selected, *, limit):
        return self._replica.search(self, namespace_id, query, selected, limit=limit)

    def check(self):
        with self._errors():
            backend.make_directory(self._directory)

    def close(self):
        self._closed = True
        self._replica.close()

    def _create(self, namespace_id, version, data):
        """Create an object, whole and durable, unless it exists: linking a finished file does all of that."""
        path = self._directory / namespace_id / f"{version:012d}.json"
        finished = self._directory / f".new-{uuid7()}"
        with self._errors():
            backend.make_directory(self._directory if version else path.parent)
            backend.create_file(finished, data, by_way_of=finished.with_suffix(".part"))
            try:
                os.link(finished, path)
            except (FileExistsError, FileNotFoundError):  # somebody was faster, or deleted the namespace
                return False
            finally:
                finished.unlink()
            backend.sync_directory(path.parent)
        return True

    @contextmanager
    def _read(self, namespace_id):
        """The namespace as of now, read on from where it was read last, and its commits."""
        folder = self._directory / namespace_id
        with self._lock, self._errors():
            try:
                header = (folder / f"{0:012d}.json").read_bytes()
            except FileNotFoundError as exc:
                message = f"namespace {namespace_id!r} does not exist in {self.location}"
                raise NotFoundError(message, namespace_id=namespace_id) from exc
            loaded = self._loaded.get(namespace_id)
            if loaded is None or loaded.header != header:
                created_at = backend.decode_header(backend.parse_line(header), namespace_id)
                loaded = self._loaded[namespace_id] = Loaded(header, backend.NamespaceState(created_at))
            with suppress(FileNotFoundError):
                while data := (folder / f"{loaded.state.version + 1:012d}.json").read_bytes():
                    loaded.state.apply(backend.decode_commit(backend.parse_line(data), namespace_id), 0)
                    loaded.objects.append(data)
            yield loaded.state, loaded.commits(namespace_id)

    @contextmanager
    def _errors(self):
        if self._closed:
            raise StoreError(f"the store in {self.location} is closed: open it again")
        with backend.os_errors(self._directory):
            yield
