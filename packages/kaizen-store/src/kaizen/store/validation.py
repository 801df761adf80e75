"""Check what a store accepts: one set of rules for every backend, before anything is touched."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeAlias

from kaizen.store.commits import check_follows
from kaizen.store.errors import InvalidInputError
from kaizen.store.ids import uuid7
from kaizen.store.model import Applied, Change, Commit, Delete, Expected, Put

CleanJson: TypeAlias = "str | int | float | bool | list[CleanJson] | dict[str, CleanJson] | None"
"""A JSON value made of nothing but Python's own types, shared with nobody."""

MAX_NAME_LENGTH = 100
MAX_ENTITY_ID_LENGTH = 512
MAX_JSON_DEPTH = 100
MAX_LIMIT = 2**48

_NAME = re.compile(rf"[A-Za-z0-9_-][A-Za-z0-9._-]{{0,{MAX_NAME_LENGTH - 1}}}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NAME_RULE = (
    f"use 1 to {MAX_NAME_LENGTH} letters (a-z, A-Z), digits, '.', '_' or '-', and do not start with a dot"
)


def check_namespace_id(namespace_id: str) -> str:
    return _check_name("namespace id", namespace_id)


def check_type(type_: str) -> str:
    return _check_name("entity type", type_)


def check_entity_id(entity_id: str) -> str:
    text = check_text("entity id", entity_id)
    if not 0 < len(text) <= MAX_ENTITY_ID_LENGTH or _CONTROL.search(text):
        raise InvalidInputError(
            f"entity id {_shown(text)} is not acceptable: use 1 to {MAX_ENTITY_ID_LENGTH} characters, "
            "none of them a control character"
        )
    return text


def check_text(what: str, text: str) -> str:
    """Return the text as a plain `str`; raise `InvalidInputError` if UTF-8 cannot carry it."""
    if not isinstance(text, str):
        raise InvalidInputError(f"{what} must be text, not {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise InvalidInputError(
            f"{what} has a lone surrogate at character {exc.start}, which UTF-8 cannot carry: replace it"
        ) from exc
    # A subclass of str may be anything when it is looked at again; this is a copy that is not.
    return str.__str__(text)


def check_limit(limit: int) -> int:
    """Return the limit, at most `MAX_LIMIT`, up to which every backend can count."""
    return min(_check_int("limit", limit, minimum=1), MAX_LIMIT)


def check_after_version(after: int) -> int:
    return _check_int("after", after, minimum=0)


def check_time(what: str, time: datetime) -> datetime:
    """Return the time in UTC; raise `InvalidInputError` if it has no time zone."""
    if not isinstance(time, datetime) or time.tzinfo is None:
        raise InvalidInputError(f"{what} must be a time with a time zone, not {_shown(time)}")
    return time.astimezone(UTC)


def clean_changes(changes: Sequence[Change]) -> list[Change]:
    """Return copies of the changes, each with its id, which share nothing with the caller."""
    if not changes:
        raise InvalidInputError("a commit needs at least one change")
    cleaned = [_clean_change(change) for change in changes]
    seen: set[str] = set()
    for change in cleaned:
        assert change.id is not None
        if change.id in seen:
            raise InvalidInputError(
                f"a commit changes each entity once, and {_shown(change.id)} is named twice"
            )
        seen.add(change.id)
    return cleaned


def check_commit(commit: Commit) -> None:
    """Refuse a commit that no store would have made."""
    try:
        for what in ("id", "actor", "reason"):
            check_text(f"its {what}", getattr(commit, what))
        if commit.run_id is not None:
            check_text("its run id", commit.run_id)
        if not commit.changes:
            raise InvalidInputError("it changes nothing")
        for change in commit.changes:
            _check_applied(change)
        if len({change.entity_id for change in commit.changes}) < len(commit.changes):
            raise InvalidInputError("it changes an entity twice")
    except ValueError as exc:
        raise InvalidInputError(f"commit {commit.version} cannot be restored: {exc}") from exc


def clean_expected(expected: Expected | None) -> Expected | None:
    if expected is None:
        return None
    if isinstance(expected, Mapping):
        return {
            check_entity_id(entity_id): _check_int(
                f"expected revision of {_shown(entity_id)}", revision, minimum=0
            )
            for entity_id, revision in expected.items()
        }
    return _check_int("expected version", expected, minimum=0)


def clean_json(what: str, value: object, depth: int = 0) -> CleanJson:
    """Return a deep copy of the value; `what` names it in the message of the `InvalidInputError`."""
    # First, since a bool is an int to Python and would come back as one.
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return check_text(what, value)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise InvalidInputError(f"{what} is an integer of more than 64 bits: store it as text")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInputError(f"{what} is {value}, which JSON cannot carry: use None or text")
        return float(value)
    if depth >= MAX_JSON_DEPTH:
        raise InvalidInputError(f"{what[:80]}... is nested more than {MAX_JSON_DEPTH} levels deep")
    if isinstance(value, Mapping):
        return {
            _check_key(what, key): clean_json(f"{what}.{key}", item, depth + 1) for key, item in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [clean_json(f"{what}[{index}]", item, depth + 1) for index, item in enumerate(value)]
    raise InvalidInputError(f"{what} is of type {type(value).__name__}, which JSON cannot carry")


def clean_metadata(metadata: object) -> dict[str, CleanJson]:
    cleaned = clean_json("metadata", metadata)
    if not isinstance(cleaned, dict):
        raise InvalidInputError(f"metadata must be a mapping, not {type(metadata).__name__}")
    return cleaned


def _clean_change(change: Change) -> Change:
    if isinstance(change, Delete):
        return Delete(id=check_entity_id(change.id))
    if isinstance(change, Put):
        return replace(
            change,
            id=uuid7() if change.id is None else check_entity_id(change.id),
            type=check_type(change.type),
            content=check_text("content", change.content),
            metadata=clean_metadata(change.metadata),
        )
    raise InvalidInputError(f"a change is a Put or a Delete, not {type(change).__name__}")


def _check_applied(change: Applied) -> None:
    if change.before is None and change.after is None:
        raise InvalidInputError("it deletes what was not there")
    check_follows(change.entity_id, change.before, change.after)
    if change.after is not None:
        check_entity_id(change.after.id)
        check_type(change.after.type)
        check_text("content", change.after.content)
        clean_metadata(change.after.metadata)


def _check_name(what: str, name: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidInputError(f"{what} {_shown(name)} is not acceptable: {_NAME_RULE}")
    return str.__str__(name)


def _check_key(what: str, key: object) -> str:
    if not isinstance(key, str):
        raise InvalidInputError(f"{what} has the key {_shown(key)}, and JSON's keys are text")
    return check_text(f"a key of {what}", key)


def _check_int(what: str, value: object, *, minimum: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise InvalidInputError(f"{what} must be an integer of at least {minimum}, not {_shown(value)}")
    return int(value)


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 120 else f"{text[:100]}... ({len(text)} characters)"
