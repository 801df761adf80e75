"""Agents' conversations for people to read: messages with calls and results, the quote marked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaizen.serve.pages.text import FOLDED_OVER, MAX_SHOWN, Piece, around, bounded, is_in, marked
from kaizen.store import InvalidInputError, NotFoundError
from kaizen.sync import get_run, run_id_of

if TYPE_CHECKING:
    from kaizen.store import Store
    from kaizen.sync import Message, StoredRun
    from kaizen.tips import TipSource

_AROUND = 2
_MOST = 2_000
MESSAGES_A_PAGE = 100
_ROLES = {"tool": "Tool result", "assistant": "Agent", "user": "User", "system": "Instructions"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text in pieces; one that `is_folded` is long, and `beginning` is what stands for it."""

    pieces: Sequence[Piece]
    is_folded: bool
    beginning: str
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallView:
    name: str
    arguments: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageView:
    """One message; `number` counts from 1. `tool` is the one whose result it is."""

    number: int
    role: str
    speaker: str
    tool: str
    content: Text | None
    calls: Sequence[CallView]
    is_quoted: bool
    is_suspicious: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """The messages around a quote, of `total`; none if the run is not kept. `note` says what is missing."""

    run: StoredRun | None
    messages: Sequence[MessageView]
    total: int = 0
    note: str = ""


def read_excerpt(
    store: Store, namespace_id: str, source: TipSource, *, suspicious: Sequence[str] = ()
) -> Excerpt:
    """Return the messages around the quote of a piece of evidence, and those with suspicious words."""
    entity_id = run_id_of(source.source, source.project, source.trace_id)
    try:
        run, trajectory = get_run(store, namespace_id, entity_id)
    except (NotFoundError, InvalidInputError):
        return Excerpt(run=None, messages=(), note="The store does not keep this conversation.")
    messages = trajectory.all_messages() if trajectory else ()
    if not messages:
        return Excerpt(run=run, messages=(), note="What was said in this conversation is not kept.")
    views = message_views(messages, quote=source.quote, suspicious=suspicious)
    place = next((n for n, view in enumerate(views) if view.is_quoted), None)
    note = "" if place is not None or not source.quote else "The quote itself is not in the stored messages."
    if place is None:
        own = (n for n, message in enumerate(messages) if message.span_id == source.span_id)
        place = next(own, 0)
    near = [
        view
        for n, view in enumerate(views)
        if abs(n - place) <= _AROUND or (view.is_suspicious and n < _MOST)
    ]
    return Excerpt(run=run, messages=near, total=len(views), note=note)


def message_views(
    messages: Sequence[Message],
    *,
    quote: str = "",
    suspicious: Sequence[str] = (),
    first: int = 0,
    most: int | None = None,
) -> list[MessageView]:
    """Return messages for people; `first` is the place of the first one that is wanted."""
    tools = {call.id: call.name for message in messages for call in message.tool_calls}
    end = len(messages) if most is None else first + most
    return [
        _view(number, message, tools, quote, suspicious)
        for number, message in enumerate(messages[first:end], first + 1)
    ]


def _view(
    number: int, message: Message, tools: dict[str, str], quote: str, suspicious: Sequence[str]
) -> MessageView:
    quotes = [*([quote] if quote else []), *suspicious]
    content = _text(message.content, quotes) if message.content else None
    calls = [
        CallView(name=call.name, arguments=_text(_json(call.arguments), quotes))
        for call in message.tool_calls
    ]
    texts = [message.content, *(_json(call.arguments) for call in message.tool_calls)]
    return MessageView(
        number=number,
        role=message.role,
        speaker=_ROLES.get(message.role, message.role),
        tool=tools.get(message.tool_call_id, message.name),
        content=content,
        calls=calls,
        is_quoted=bool(quote) and any(is_in(text, [quote]) for text in texts),
        is_suspicious=any(is_in(text, suspicious) for text in texts),
    )


def _text(text: str, quotes: Sequence[str]) -> Text:
    pieces = marked(text, quotes)
    if len(text) > FOLDED_OVER and any(piece.is_marked for piece in pieces):
        pieces = around(pieces)
        return Text(pieces=pieces, is_folded=False, beginning="", length=len(text))
    is_folded = len(text) > FOLDED_OVER
    return Text(
        pieces=[Piece(bounded(text, MAX_SHOWN))] if is_folded else pieces,
        is_folded=is_folded,
        beginning=text[:200],
        length=len(text),
    )


def _json(text: str) -> str:
    """Return JSON in lines, and any other text as it is."""
    if len(text) > MAX_SHOWN:
        return text
    try:
        value = json.loads(text)
        return json.dumps(value, ensure_ascii=False, indent=2) if isinstance(value, dict | list) else text
    except (ValueError, RecursionError):
        return text
