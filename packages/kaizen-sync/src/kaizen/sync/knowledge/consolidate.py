"""Consolidate a namespace: tips that are one lesson become one tip, all in one commit.

A model decides which tips are one lesson; without one their words alone do, if they leave no doubt. What a
model kept apart stays apart, and a merged tip is similar to another only if all that was merged into it is:
so merging never drifts, and a second run finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from kaizen.store import ConflictError, uuid7
from kaizen.sync.knowledge.clusters import PairFinder
from kaizen.sync.knowledge.merge_plan import (
    ClusterDecision,
    Merge,
    MergeGroup,
    MergePlan,
    is_one_text,
    merge_all,
)
from kaizen.sync.knowledge.merge_question import CONSOLIDATE_PROMPT, ask_groups, question_usage
from kaizen.sync.llm.client import Meter, Model, count_tokens, counted_by
from kaizen.sync.model import Usage
from kaizen.tips.checks import GUIDELINE
from kaizen.tips.reading import migrate_tips, read_evidence, read_tips

if TYPE_CHECKING:
    from kaizen.store import Embedder, Store
    from kaizen.sync.settings import ModelSettings
    from kaizen.tips.tip import StoredTip

ACTOR = "kaizen entities consolidate"

_ATTEMPTS = 20


@dataclass(slots=True, kw_only=True)
class Consolidated:
    """Report what a run did, or would do. `questions` counts the clusters put to the model, or to be put.

    `tokens_before` and `tokens_after` are those of all active tips as an agent reads them. `unusable` counts
    answers that could not be used. `cost_usd` is None if no price is known.
    """

    namespace_id: str
    run_id: str
    model: str
    tips_before: int
    tips_after: int
    tokens_before: int
    tokens_after: int
    counted_by: str
    merges: list[Merge]
    kept_apart: int = 0
    questions: int = 0
    unusable: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    commit_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "namespace": self.namespace_id,
            "run_id": self.run_id or None,
            "commit_id": self.commit_id,
            "merges": [
                {
                    "id": merge.tip.id,
                    "content": merge.tip.content,
                    "support": merge.tip.support,
                    "worded_by": merge.tip.worded_by or None,
                    "merged": [{"id": tip.id, "content": tip.content} for tip in merge.merged],
                }
                for merge in self.merges
            ],
            "kept_apart": self.kept_apart,
            "tips": {"before": self.tips_before, "after": self.tips_after},
            "tokens": {
                "before": self.tokens_before,
                "after": self.tokens_after,
                "counted_by": self.counted_by,
            },
            "model": {
                "name": self.model,
                "questions": self.questions,
                "unusable": self.unusable,
                "prompt_tokens": self.usage.prompt_tokens,
                "completion_tokens": self.usage.completion_tokens,
                "cost_usd": self.cost_usd,
            },
        }


class Consolidation:
    """One run over the active tips of a namespace. Use once.

    `progress` is called after every answer of the model with how many there were and what they cost so far.
    """

    def __init__(
        self,
        store: Store,
        namespace_id: str,
        models: ModelSettings,
        *,
        embedder: Embedder | None = None,
        concurrency: int = 8,
        progress: Callable[[int, float], None] = lambda _answers, _cost_usd: None,
    ) -> None:
        self._store = store
        self._namespace_id = namespace_id
        self._concurrency = concurrency
        self._progress = progress
        self._embedder = embedder
        self._pair_finder = PairFinder(embedder)
        self._meter = Meter()
        self._model = Model(models.reconcile_model, models, self._meter)
        self._decisions: dict[tuple[tuple[str, str], ...], ClusterDecision] = {}
        self._unusable = 0

    def plan(self) -> Consolidated:
        """Report what `apply` does if the model finds every cluster to be one lesson; it is not asked."""
        plan, _ = self._read()
        asked: list[Usage] = []
        while found := plan.clusters(sure=self._model.is_offline):
            asked += [question_usage(cluster) for cluster in found if self._is_question(cluster)]
            for cluster in found:
                plan.apply(cluster, merge_all(cluster))
        report = self._report(plan)
        report.questions = len(asked)
        report.usage = sum(asked, Usage())
        report.cost_usd = self._model.price_usd(report.usage) if asked else 0.0
        return report

    def apply(self) -> Consolidated:
        """Merge what is one lesson, in one commit, on top of what others committed meanwhile.

        Raises `ModelAccessError` if the model refuses every call, `ModelUnavailableError` if it cannot be
        reached; then nothing is changed.
        """
        run_id = uuid7()
        self._store.get_namespace(self._namespace_id)
        migrate_tips(self._store, self._namespace_id, actor=ACTOR)
        for _ in range(_ATTEMPTS):
            plan, revisions = self._read()
            while found := plan.clusters(sure=self._model.is_offline):
                for cluster, decision in zip(found, self._decide_all(found), strict=True):
                    plan.apply(cluster, decision)
            report = self._report(plan, run_id=run_id)
            report.questions, report.unusable = len(self._decisions), self._unusable
            report.usage = self._meter.usage
            report.cost_usd = None if self._meter.unpriced_calls else self._meter.cost_usd
            changed = plan.changed()
            if not changed:
                return report
            try:
                commit = self._store.commit(
                    self._namespace_id,
                    [change for tip in changed for change in tip.to_changes()],
                    expected={tip.id: revisions[tip.id] for tip in changed},
                    actor=ACTOR,
                    reason=f"of {report.tips_before} tips {report.tips_after} are left",
                    run_id=run_id,
                )
            # Somebody changed one of these tips: plan again, with the answers that are known.
            except ConflictError:
                continue
            report.commit_id = commit.id
            return report
        raise ConflictError(
            f"namespace '{self._namespace_id}' is changed by others faster than its tips can be merged; "
            "run it again when they are done",
            namespace_id=self._namespace_id,
        )

    def _read(self) -> tuple[MergePlan, dict[str, int]]:
        self._store.get_namespace(self._namespace_id)
        entities = list(self._store.iterate(self._namespace_id, type=GUIDELINE))
        plan = MergePlan(
            read_tips(entities), self._pair_finder, partial(read_evidence, self._store, self._namespace_id)
        )
        return plan, {entity.id: entity.revision for entity in entities}

    def _is_question(self, tips: Sequence[StoredTip]) -> bool:
        return not (self._model.is_offline or is_one_text(tips))

    def _decide_all(self, clusters: Sequence[Sequence[StoredTip]]) -> Iterable[ClusterDecision]:
        with ThreadPoolExecutor(self._concurrency, thread_name_prefix="kaizen-consolidate") as executor:
            try:
                yield from executor.map(self._decide, clusters)
            finally:
                executor.shutdown(cancel_futures=True)

    def _decide(self, tips: Sequence[StoredTip]) -> ClusterDecision:
        if not self._is_question(tips):
            return merge_all(tips)
        # What was decided before others changed some tips holds for the rest.
        asked = tuple((tip.id, tip.content) for tip in tips)
        if asked not in self._decisions:
            self._decisions[asked] = self._ask(tips)
            self._progress(len(self._decisions), self._meter.cost_usd)
        return self._decisions[asked]

    def _ask(self, tips: Sequence[StoredTip]) -> ClusterDecision:
        answer = ask_groups(tips, self._model)
        if answer is None:
            self._unusable += 1
            # An index of its own, since others ask at the same time.
            sure = MergePlan(tips, PairFinder(self._embedder)).clusters(sure=True)
            groups = tuple(group for cluster in sure for group in merge_all(cluster).groups)
            return ClusterDecision(groups=groups, is_final=False)
        worded_by = {"model": self._model.name, "prompt_version": CONSOLIDATE_PROMPT}
        return ClusterDecision(
            groups=tuple(
                MergeGroup(
                    tip_ids=tuple(tips[number - 1].id for number in group.members),
                    content=group.content.strip(),
                    trigger=group.trigger.strip(),
                    worded_by=worded_by,
                )
                for group in answer
            )
        )

    def _report(self, plan: MergePlan, *, run_id: str = "") -> Consolidated:
        before, after = plan.active_before(), plan.active()
        return Consolidated(
            namespace_id=self._namespace_id,
            run_id=run_id,
            model=self._model.name,
            tips_before=len(before),
            tips_after=len(after),
            tokens_before=sum(map(_tokens, before)),
            tokens_after=sum(map(_tokens, after)),
            counted_by=counted_by(),
            merges=plan.merges(),
            kept_apart=plan.kept_apart,
        )


def _tokens(tip: StoredTip) -> int:
    """Count what an agent pays for the tip each time it is shown: its content, trigger and steps."""
    return count_tokens("\n".join([tip.content, tip.trigger, *tip.implementation_steps]))
