"""Read the JSON document that a snapshot travels as; it may have been written by anyone. Pure.

    {"format": "kaizen-recall", "schema_version": 1, "namespace": ..., "digest": ..., "tips": [...]}

`digest` is the SHA-256 of the tips as JSON with sorted keys, without blanks, ASCII only. May have `salt`
and `control_share` too.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from typing import TYPE_CHECKING, Any

from kaizen.recall.marks import harmless
from kaizen.recall.model import CONTROL_SHARE, ServedTip, Snapshot
from kaizen.recall.snapshots.errors import SnapshotError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

FORMAT = "kaizen-recall"
SCHEMA_VERSION = 1
MAX_BYTES = 20_000_000

_TEXTS = ("content", "trigger", "task", "category", "tool")
_MAX_TEXT = 4_000
_MAX_ITEMS = 100
_DECODER = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\n\r]*")


def read_document(data: bytes, namespace_id: str, *, pause: Callable[[], None] = lambda: None) -> Snapshot:
    """Return the snapshot. Raises `SnapshotError` if it is none, of another namespace, or of a later Kaizen.

    Tips that are not active or not valid are left out. `pause` is called after each tip.
    """
    if len(data) > MAX_BYTES:
        raise SnapshotError(f"the snapshot has more than {MAX_BYTES} bytes; export fewer tips with --top")
    digest = _Digest()
    fields: dict[str, Any] = {}
    tips: dict[str, ServedTip] = {}
    try:
        for name, value in _members(data.decode()):
            if name != "tips":
                fields[name] = value
                continue
            digest.add(value)
            if (tip := read_served_tip(value)) is not None:
                tips[tip.id] = tip
            pause()
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"the snapshot is not JSON of the format {FORMAT}: {error}") from error
    _check(fields, namespace_id, digest.hexdigest())
    share = fields.get("control_share", CONTROL_SHARE)
    return Snapshot(
        # Taken out one by one: nothing is to hold them twice.
        (tips.popitem()[1] for _ in range(len(tips))),
        namespace_id=namespace_id,
        digest=fields["digest"],
        salt=fields["salt"] if _is_id(fields.get("salt")) else namespace_id,
        control_share=share if _is_share(share) else CONTROL_SHARE,
        pause=pause,
    )


def _members(text: str) -> Iterator[tuple[str, Any]]:
    """Yield the members of the document, and `tips` once for each tip.

    Piece by piece: to parse it at once would keep other threads from running for 0.1 s.
    """
    place = _after(text, 0, "{")
    while True:
        name, place = _DECODER.raw_decode(text, place)
        place = _after(text, place, ":")
        if name == "tips":
            place = _after(text, place, "[")
            while text[place : place + 1] != "]":
                tip, place = _DECODER.raw_decode(text, place)
                yield "tips", tip
                place = _after(text, place, ",", before="]")
            place = _after(text, place, "]")
        else:
            value, place = _DECODER.raw_decode(text, place)
            yield name, value
        place = _after(text, place, ",", before="}")
        if text[place : place + 1] == "}":
            return


def _after(text: str, place: int, character: str, *, before: str = "") -> int:
    """Return the place of what follows the character; or that of the character `before` which it stands."""
    match = _BLANKS.match(text, place)
    place = match.end() if match else place
    found = text[place : place + 1]
    if before and found == before:
        return place
    if found != character:
        raise ValueError(f"{character} expected at {place}")
    match = _BLANKS.match(text, place + 1)
    return match.end() if match else place + 1


class _Digest:
    """The digest of tips that come one by one."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(b"[")
        self._separator = b""

    def add(self, tip: Any) -> None:
        text = json.dumps(tip, sort_keys=True, separators=(",", ":"))
        self._hash.update(self._separator + text.encode())
        self._separator = b","

    def hexdigest(self) -> str:
        whole = self._hash.copy()
        whole.update(b"]")
        return whole.hexdigest()


def _check(fields: Mapping[str, Any], namespace_id: str, digest: str) -> None:
    version = fields.get("schema_version")
    if fields.get("format") != FORMAT or not isinstance(version, int):
        raise SnapshotError("this is no snapshot: make one with `kaizen tips export --format recall`")
    if version > SCHEMA_VERSION:
        raise SnapshotError(f"the snapshot has the schema version {version}: update kaizen-recall")
    if fields.get("namespace") != namespace_id:
        raise SnapshotError(
            f"the snapshot is of the namespace {fields.get('namespace')!r}, not {namespace_id!r}: "
            "set KAIZEN_NAMESPACE_ID, or take another source"
        )
    if fields.get("digest") != digest:
        raise SnapshotError("the digest of the snapshot is wrong: it was cut or changed; export it again")


def read_served_tip(value: Any) -> ServedTip | None:
    """Return the tip with harmless texts; None if a field has a value that it cannot have."""
    if not _is_valid(value):
        return None
    content, trigger, task, category, tool = (harmless(value.get(name, "")) for name in _TEXTS)
    return ServedTip(
        id=value["id"],
        revision=value["revision"],
        content=content,
        steps=tuple(filter(None, map(harmless, value.get("steps", ())))),
        trigger=trigger,
        task=task,
        category=sys.intern(category),
        tool=sys.intern(tool),
        # Thousands of tips are about a few tools.
        tools={sys.intern(name): sys.intern(version) for name, version in value.get("tools", {}).items()},
        support=value.get("support", 0),
        is_a_persons=value.get("is_a_persons") is True,
        effect=value.get("effect"),
        p=float(value.get("p", 0)),
    )


def _is_valid(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("status", "active") != "active":
        return False
    steps, tools = value.get("steps", []), value.get("tools", {})
    if not isinstance(steps, list) or not isinstance(tools, dict) or len(steps) + len(tools) > _MAX_ITEMS:
        return False
    texts = [*(value.get(name, "") for name in _TEXTS), *steps, *tools, *tools.values()]
    return (
        all(isinstance(text, str) and len(text) <= _MAX_TEXT for text in texts)
        and bool(harmless(texts[0]))
        and _is_id(value.get("id"))
        and _is_count(value.get("revision"))
        and _is_count(value.get("support", 0))
        and _is_share(value.get("p", 0))
        and isinstance(value.get("effect"), dict | None)
    )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def _is_count(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < 2**53
