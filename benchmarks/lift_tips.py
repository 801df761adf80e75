"""Make tips of attempts, and place them: what each arm of the lift benchmark gives to an agent."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaizen.demo.world.agent import SYSTEM_PROMPT
from kaizen.store import Put
from kaizen.sync import OFFLINE, ModelSettings, Sync, SyncSettings
from kaizen.tips import GUIDELINE, StoredTip, read_tips

if TYPE_CHECKING:
    from world_traces import Traces

    from kaizen.demo.world.family import Family
    from kaizen.demo.world.task import WorldTask
    from kaizen.store import Store
    from kaizen.sync import Report

NAMESPACE = "world"
MOST_NOTES = 5  # for a tool
MOST_LINES = 3  # in a system prompt
MODEL = "model"
BOTH = "both"
LEARNERS = (OFFLINE, MODEL, BOTH)
PLACES = ("none", "placebo", "system prompt", "tool description")


@dataclass(frozen=True, kw_only=True)
class Arm:
    """What agents are given: tips of which wording, and where."""

    place: str
    wording: str = ""

    @property
    def name(self) -> str:
        return f"{self.wording} tips, {self.place}" if self.wording else self.place


class Learner:
    """Turns recorded attempts into tips, as `kaizen sync` does: each time it reads what is new."""

    def __init__(self, store: Store, traces: Traces, tips_model: str, **settings: Any) -> None:
        self._store = store
        self._traces = traces
        self._settings = SyncSettings(namespace_id=NAMESPACE, quiet_s=0.0, **settings)
        self._models = ModelSettings(tips_model=tips_model, reconcile_model=tips_model)
        self._snapshot: Any = None

    def learn(self) -> list[StoredTip]:
        """Sync, and return the tips that agents may be shown, the best backed first."""
        with self._traces.source() as source:
            report = Sync(source, self._store, self._settings, self._models).run()
        if report.failures and self._models.tips_model == OFFLINE:
            raise SystemExit(f"the sync failed: {report.failures[0].reason}")
        if self._models.tips_model != OFFLINE:
            _print_calls(report)
        return self._active()

    @property
    def stored(self) -> list[dict[str, Any]]:
        """Return all tips of the store, as a file can keep them."""
        tips = self._store.iterate(NAMESPACE, type=GUIDELINE)
        return [{"id": tip.id, "content": tip.content, "metadata": tip.metadata} for tip in tips]

    def load(self, stored: Sequence[Mapping[str, Any]]) -> list[StoredTip]:
        """Put tips that an earlier run learned, without the runs behind them."""
        self._store.create_namespace(NAMESPACE, exist_ok=True)
        self._store.commit(NAMESPACE, [Put(type=GUIDELINE, **tip) for tip in stored], expected=0)
        return self._active()

    def _active(self) -> list[StoredTip]:
        self._snapshot = None
        tips = read_tips(self._store.iterate(NAMESPACE, type=GUIDELINE))
        return sorted((tip for tip in tips if tip.is_active), key=lambda tip: (-tip.support, tip.content))

    def recall(self, task: WorldTask, place: str) -> dict[str, Any]:
        """Return what kaizen.recall adds to an attempt, from a snapshot of the store."""
        from kaizen.recall.choosing import Request
        from kaizen.recall.recalled import recall_from
        from kaizen.recall.snapshots.document import read_document
        from kaizen.recall.tools import offered_tools
        from kaizen.tips import recall_document

        if self._snapshot is None:
            self._snapshot = read_document(recall_document(self._store, NAMESPACE).encode(), NAMESPACE)
        offered = offered_tools([tool.schema for tool in task.family.tools])
        request = Request(task.text, SYSTEM_PROMPT, offered)
        recalled = recall_from(self._snapshot, request, unit=task.seed, holdout_bound=0.0)
        if place == "system prompt":
            return {"system": f"{SYSTEM_PROMPT}\n\n{recalled.full_text}".strip()}
        notes = {name: f"\n\n{note}" for name, note in recalled.notes.items()}
        return {"system": f"{SYSTEM_PROMPT}\n\n{recalled.text}".strip(), "notes": notes}


def _print_calls(report: Report) -> None:
    tokens = report.prompt_tokens + report.completion_tokens
    dropped = ", ".join(f"{count} {reason}" for reason, count in report.tips_dropped.most_common())
    print(f"{report.model_calls} calls of the model, {tokens:,} tokens; {report.compared} pairs compared")
    print(f"tips dropped: {dropped or 'none'}")
    if report.failures:
        print(f"{len(report.failures)} runs failed, the first: {report.failures[0].reason}")


def save_tips(path: Path, learned: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    path.write_text(json.dumps(learned, indent=1))


def load_tips(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what `save_tips` wrote: stored tips by learner."""
    learned: dict[str, list[dict[str, Any]]] = json.loads(path.read_text())
    return learned


def united(learned: Iterable[Sequence[StoredTip]]) -> list[StoredTip]:
    """Return the tips of all learners, the same words once."""
    return list({tip.content: tip for tips in learned for tip in tips}.values())


def tools_of(tip: StoredTip, offered: Sequence[str]) -> list[str]:
    """Return which of the tools a tip is about: that of its signature, else those that it names."""
    signature = tip.metadata.get("signature") or {}
    named = [name for name in offered if re.search(rf"\b{name}\b", tip.content)]
    return [signature["tool"]] if signature.get("tool") in offered else named


def tips_for(family: Family, tips: Sequence[StoredTip]) -> list[StoredTip]:
    """Return the tips about tools of that family, in the order given."""
    offered = [tool.name for tool in family.tools]
    return [tip for tip in tips if tools_of(tip, offered)]


def shown(family: Family, arm: Arm, wordings: Mapping[str, Sequence[StoredTip]]) -> dict[str, Any]:
    """Return what an arm adds to an attempt, from the tips by their wordings."""
    own = tips_for(family, wordings.get(arm.wording, ()))
    if arm.place == "placebo":
        others = [tip for tip in next(iter(wordings.values())) if not tips_for(family, [tip])]
        chosen = random.Random(family.name).sample(others, min(MOST_LINES, len(others)))
        return {"system": system_with(chosen)}
    if arm.place == "system prompt":
        return {"system": system_with(own)}
    return {"notes": notes_with(family, own)} if arm.place == "tool description" else {}


def system_with(tips: Sequence[StoredTip]) -> str:
    """Return the system prompt with a block of tips at its end."""
    lines = as_list([tip.content for tip in tips[:MOST_LINES]])
    block = f"\n\n<kaizen-tips>\nLearned from earlier runs:\n{lines}\n</kaizen-tips>"
    return SYSTEM_PROMPT + block if tips else SYSTEM_PROMPT


def notes_with(family: Family, tips: Sequence[StoredTip]) -> dict[str, str]:
    """Return what is noted in the descriptions of tools, by their names."""
    notes: defaultdict[str, list[str]] = defaultdict(list)
    for tip in tips:
        for name in tools_of(tip, [tool.name for tool in family.tools]):
            notes[name].append(tip.content)
    return {name: f"\n\n[kaizen]\n{as_list(texts[:MOST_NOTES])}\n[/kaizen]" for name, texts in notes.items()}


def as_list(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)
