"""Tips that wait for a person, one at a time, to be decided on by keyboard."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaizen.serve import changing
from kaizen.serve.context import context_of
from kaizen.serve.pages.conversation import Excerpt, read_excerpt
from kaizen.serve.pages.rendering import form_of, links_of, namespace_of, redirect, render
from kaizen.serve.pages.text import Piece, marked
from kaizen.serve.security import caller_of, require
from kaizen.store import InvalidInputError, NotFoundError
from kaizen.tips import GUIDELINE, StoredTip, newest_evidence, read_tip

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from kaizen.store import Entity, Store
    from kaizen.tips import ReviewDecision

_QUEUE = 500
_DECISIONS: Mapping[str, ReviewDecision] = {"approve": "approved", "reject": "rejected"}
# What the checks found stands between quotation marks, as they read it: in lower case.
_FOUND = re.compile(r"'([^']{3,200})'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A field of the tip, the words that were found dangerous marked."""

    name: str
    pieces: Sequence[Piece]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewView:
    """The tip to decide on, at `place` of `waiting`; None if no tip waits. `is_more` says that more wait."""

    tip: StoredTip | None = None
    revision: int = 0
    place: int = 0
    waiting: int = 0
    is_more: bool = False
    before: str = ""
    after: str = ""
    passages: Sequence[Passage] = ()
    excerpt: Excerpt | None = None


async def review(request: Request) -> Response:
    context = context_of(request)
    view = await context.read(
        read_review,
        context.store,
        namespace_of(request),
        wanted=request.query_params.get("tip", ""),
        after=request.query_params.get("after", ""),
    )
    return await render(request, "review.html", view=view, tip=view.tip, page="review")


def read_review(store: Store, namespace_id: str, *, wanted: str = "", after: str = "") -> ReviewView:
    """Return the tip that is wanted, or the first one that waits after that id, or else the first one."""
    queue = _queue(store, namespace_id)
    ids = [entity.id for entity in queue]
    if not ids:
        return ReviewView()
    place = ids.index(wanted) if wanted in ids else next((n for n, i in enumerate(ids) if i > after), 0)
    tip = StoredTip.of(queue[place])
    return ReviewView(
        tip=tip,
        revision=queue[place].revision,
        place=place + 1,
        waiting=len(ids),
        is_more=len(ids) == _QUEUE,
        before=ids[place - 1] if place else "",
        after=ids[place + 1] if place + 1 < len(ids) else "",
        passages=passages(tip),
        excerpt=_excerpt(store, namespace_id, tip),
    )


def _excerpt(store: Store, namespace_id: str, tip: StoredTip) -> Excerpt | None:
    evidence = newest_evidence(store, namespace_id, tip)
    if not evidence:
        return None
    return read_excerpt(store, namespace_id, evidence[0].source, suspicious=_suspicious(tip))


def _queue(store: Store, namespace_id: str) -> list[Entity]:
    try:
        page = store.list(namespace_id, type=GUIDELINE, where={"status": "quarantined"}, limit=_QUEUE)
    except NotFoundError:
        return []
    return [entity for entity in page.entities if read_tip(entity) is not None]


def passages(tip: StoredTip) -> list[Passage]:
    """Return all that an agent may be shown of the tip, with the words marked that it waits for."""
    texts = {
        "When": tip.trigger,
        "Steps": "\n".join(tip.implementation_steps),
        "Why": tip.rationale,
        "Task": tip.task_description,
    }
    fields = {"Tip": tip.content, **{name: text for name, text in texts.items() if text}}
    wanted = _suspicious(tip)
    return [Passage(name=name, pieces=marked(text, wanted)) for name, text in fields.items()]


def _suspicious(tip: StoredTip) -> list[str]:
    """Return the words that the tip waits for, as far as its reasons name them."""
    found = [words for reason in tip.quarantine_reasons for words in _FOUND.findall(reason)]
    return [part for words in found for part in (words, *_shorter(words))]


def _shorter(words: str) -> list[str]:
    # What was found has some letters of what is around it, which may be cut within a word.
    parts = words.split()
    return [" ".join(parts[1:-1])] if len(parts) > 3 else []


@require("review")
async def decide(request: Request) -> Response:
    """Take the decision on the tip as it was shown, and go to the next one."""
    context, form = context_of(request), form_of(request)
    tip_id, revision = form.get("tip", [""])[0], form.get("revision", [""])[0]
    decision = _DECISIONS.get(form.get("decision", [""])[0])
    if decision is None or not revision.isdecimal():
        raise InvalidInputError("say which tip, at which revision, and approve or reject")
    commit = await context.write(
        changing.review_tips,
        context.store,
        namespace_of(request),
        {tip_id: decision},
        actor=caller_of(request).actor,
        revisions={tip_id: int(revision)},
    )
    return redirect(links_of(request).to("review", after=tip_id, done=commit.version))
