"""Ask a model which tips of a cluster are one lesson and how to word it, and check its answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kaizen.sync.errors import ModelAccessError, ModelError, ModelUnavailableError
from kaizen.sync.knowledge.opposites import compare_statements
from kaizen.sync.knowledge.prompts import load_prompt
from kaizen.sync.llm.client import count_tokens
from kaizen.sync.model import Usage
from kaizen.sync.redact import Redactor
from kaizen.sync.trust import dangers
from kaizen.tips.text import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen.sync.llm.client import Model
    from kaizen.sync.llm.schemas import MergedTips
    from kaizen.tips.tip import StoredTip

CONSOLIDATE_PROMPT = "consolidate-1"
ANSWER_NAME = "kaizen_consolidate"

_SHOWN_CHARS = 1_000
_REACHES_OUT = re.compile(r"(?i)\b[a-z][a-z0-9+.-]*://\S+|\bwww\.\S+|\S+@\S+\.\w+")


def ask_groups(tips: Sequence[StoredTip], model: Model) -> list[MergedTips] | None:
    """Return the groups of two or more of the tips, by numbers from 1, each with a wording that may be used.

    None if the model gives no usable answer. Raises `ModelAccessError` if it refuses every call, and
    `ModelUnavailableError` if it cannot be reached.
    """
    from kaizen.sync.llm.schemas import GroupsAnswer

    try:
        answer = model.ask(
            system=load_prompt(CONSOLIDATE_PROMPT),
            user=question(tips),
            answer=GroupsAnswer,
            name=ANSWER_NAME,
        )
    except (ModelAccessError, ModelUnavailableError):
        raise
    except ModelError:
        return None
    free = set(range(1, len(tips) + 1))
    groups = []
    for group in answer.groups:
        members = sorted(free.intersection(group.members))
        if len(members) < 2:
            continue
        if not is_usable(group, [tips[number - 1] for number in members]):
            return None
        free.difference_update(members)
        groups.append(group.model_copy(update={"members": members}))
    return groups


def question(tips: Sequence[StoredTip]) -> str:
    """Return the tips of a cluster as a model is shown them."""
    lines = ["TIPS:"]
    for number, tip in enumerate(tips, 1):
        about = [f"when: {trigger}" for trigger in [one_line(tip.trigger)[:_SHOWN_CHARS]] if trigger]
        about += [f"support: {tip.support}"]
        lines.append(f"{number}. {one_line(tip.content)[:_SHOWN_CHARS]} ({'; '.join(about)})")
    return "\n".join(lines)


def question_usage(tips: Sequence[StoredTip]) -> Usage:
    """Estimate the tokens that asking takes: an answer is about as long as two of the tips."""
    shown = count_tokens(question(tips))
    prompt = count_tokens(load_prompt(CONSOLIDATE_PROMPT)) + shown
    return Usage(prompt_tokens=prompt, completion_tokens=2 * shown // len(tips))


def is_usable(group: MergedTips, members: Sequence[StoredTip]) -> bool:
    """Return whether a wording says no more than its parts: it is not longer and names no other address."""
    content, trigger = group.content.strip(), group.trigger.strip()
    contents = [tip.content for tip in members]
    triggers = [tip.trigger for tip in members]
    known = " ".join(contents + triggers)
    return (
        0 < len(content) <= sum(map(len, contents))
        and len(trigger) <= max(sum(map(len, triggers)), len(content))
        and all(compare_statements(content, text).relation == "same" for text in contents)
        and not dangers((content, trigger))
        and all(found in known for found in _REACHES_OUT.findall(f"{content} {trigger}"))
        and Redactor().text(f"{content} {trigger}") == f"{content} {trigger}"
    )
