"""Find attempts in a run to steer its reader: the agent, or the model that learns from it."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from kaizen.sync.expressions import read_expressions
from kaizen.sync.trust.hidden import hidden_in
from kaizen.sync.trust.normal import decoded, normal, pattern, respelled
from kaizen.sync.trust.orders import dangers
from kaizen.sync.trust.scanning import excerpt, scanner

if TYPE_CHECKING:
    from kaizen.sync.model import Trajectory

INJECTION = "the run shows an attempt to steer its reader"

_PROMPT = "the prompt"

_WINDOW = 120  # a warning looks back 80 characters, and its own words come before these


def injection_attempt(trajectory: Trajectory) -> str:
    """Return the attempt that was found, and where, as a reason for people; empty if none.

    Takes time linear in the size of the run.
    """
    texts = _texts(trajectory)
    for where, parts in texts.items():
        joined = "\n".join(parts)
        if what := _hidden(joined) or _wording(joined, where):
            return f"{INJECTION}: {what} in {where}"
    if what := _wording(_seams(trajectory), _PROMPT):
        return f"{INJECTION}: {what} in several messages"
    return ""


def _seams(trajectory: Trajectory) -> str:
    """Join the end of each message with the start of the next: orders may be split over them."""
    contents = [message.content for message in trajectory.all_messages() if message.content.strip()]
    return " ... ".join(f"{one[-_WINDOW:]}\n{other[:_WINDOW]}" for one, other in pairwise(contents))


def _texts(trajectory: Trajectory) -> dict[str, list[str]]:
    """Return the texts of a run by who said them, in order."""
    texts: defaultdict[str, list[str]] = defaultdict(list)
    for message in trajectory.all_messages():
        where = _PROMPT if message.role in ("system", "developer") else f"a message of role {message.role}"
        texts[where].append(message.content)
        texts["a name"].append(message.name)
        for call in message.tool_calls:
            texts["a name"].append(call.name)
            texts["a tool call"].append(call.arguments)
    texts["the tools"] += trajectory.tools
    texts["an error"] += trajectory.errors
    outcome = trajectory.outcome
    texts["the judgement of the run"] += [outcome.judged_by, outcome.detail]
    texts["a name"] += [trajectory.session_id, *(side.name for side in trajectory.side_conversations)]
    texts["a name"] += trajectory.models
    # A name takes words together: ignore_previous_instructions.
    texts["a name"] = [re.sub("[_-]", " ", name) for name in dict.fromkeys(texts["a name"])]
    return texts


def _hidden(text: str) -> str:
    if what := hidden_in(text):
        return what
    for found in decoded(text):
        if _wording(found, "") or dangers([found]):
            return "encoded orders"
    return ""


def _wording(text: str, where: str) -> str:
    is_prompt = where == _PROMPT
    plain = normal(text)
    # Both: an English word may be another language's misspelled, as `ignoriere` is.
    for spelled in dict.fromkeys((plain, respelled(plain))):
        for _, match in scanner(_expressions(in_prompt=is_prompt)).matches(spelled):
            if not (is_prompt and _is_warning(spelled, match.start())):
                return f"'{excerpt(match)}'"
    return ""


@cache
def _expressions(*, in_prompt: bool) -> tuple[str, ...]:
    found = read_expressions("trust/injection.toml")
    abroad = read_expressions("trust/languages.toml")
    listed = (*found["overriding"], *abroad["overriding"], *found["extracting"])
    if in_prompt:
        # Prompts of agents mark their parts with tags, keep things from users, and speak to the model.
        return listed
    names = ("standard", "imitation", "secrecy", "addressing")
    return (*listed, *(one for name in names for one in found[name]))


def _is_warning(text: str, start: int) -> bool:
    [warning] = read_expressions("trust/injection.toml")["warning"]
    return pattern(warning).search(text, max(0, start - _WINDOW), start) is not None
