"""Compare the second run of an agent with the first: the tips that it was given, and what they saved."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kaizen.sync import PhoenixSettings, PhoenixSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kaizen.store import Store

# How tools refuse a call, as the four frameworks tell the model.
_REFUSAL = re.compile(r"(?:An error|Error)\b")


@dataclass(frozen=True, slots=True)
class Run:
    """What Phoenix holds of an agent's run."""

    model_calls: int
    refusals: frozenset[str]
    shown: tuple[str, ...]
    """The tips that recall recorded, as `id@revision`."""


def read_run(phoenix_url: str, project: str) -> Run:
    """Read the run of an agent that was traced into a project of its own."""
    with PhoenixSource(PhoenixSettings(base_url=phoenix_url, project=project)) as source:
        calls = [s for t in source.fetch(source.index()) for s in t.spans if s.kind == "LLM"]
    given = (
        value
        for call in calls
        for name, value in call.attributes.items()
        if name.startswith("llm.input_messages.")
    )
    shown = (ref for call in calls for ref in json.loads(call.attributes.get("kaizen.recall.shown", "[]")))
    return Run(
        model_calls=len(calls),
        refusals=frozenset(text for text in given if isinstance(text, str) and _REFUSAL.match(text)),
        shown=tuple(dict.fromkeys(shown)),
    )


def compare(first: Run, second: Run, store: Store, namespace_id: str) -> Iterator[str]:
    """Yield the lines that tell what the second run was given, and what became of it."""
    for ref in second.shown:
        tip_id, _, _ = ref.rpartition("@")
        yield f"given: {store.get(namespace_id, tip_id).content}"
    yield (
        f"model calls: {first.model_calls} before, {second.model_calls} now; "
        f"refused calls of tools: {len(first.refusals)} before, {len(second.refusals)} now"
    )
