"""Write a backend: all that its author needs besides `kaizen.store`.

The guide "A backend of your own" shows what each is for.
"""

from __future__ import annotations

from kaizen.store.backends.filesystem.state import NamespaceState, copy_entity
from kaizen.store.backends.sqlite.replica import Replica
from kaizen.store.base import BaseStore
from kaizen.store.commits import CommitRequest, Head, check_restored, next_commit, touched
from kaizen.store.embedders import LazyEmbedder
from kaizen.store.files import (
    append_to_file,
    create_file,
    lock_file,
    make_directory,
    os_errors,
    sync_directory,
)
from kaizen.store.filtering import Filter, field_of, flatten, path_of
from kaizen.store.history.lines import (
    CommitRecord,
    decode_commit,
    decode_header,
    encode_commit,
    encode_header,
    parse_line,
    replay_commits,
)
from kaizen.store.ranking import candidate_count, fuse_scores
from kaizen.store.text import query_words, searched_text

__all__ = [
    "BaseStore",
    "CommitRecord",
    "CommitRequest",
    "Filter",
    "Head",
    "LazyEmbedder",
    "NamespaceState",
    "Replica",
    "append_to_file",
    "candidate_count",
    "check_restored",
    "copy_entity",
    "create_file",
    "decode_commit",
    "decode_header",
    "encode_commit",
    "encode_header",
    "field_of",
    "flatten",
    "fuse_scores",
    "lock_file",
    "make_directory",
    "next_commit",
    "os_errors",
    "parse_line",
    "path_of",
    "query_words",
    "replay_commits",
    "searched_text",
    "sync_directory",
    "touched",
]
