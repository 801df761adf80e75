"""`kaizen entities consolidate`: tips that teach one lesson become one tip."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from kaizen.cli.drawing import print_text
from kaizen.cli.options import (
    BackendOption,
    DataDirOption,
    JsonOption,
    NamespaceArgument,
    NamespaceOption,
    opened,
)
from kaizen.cli.output import counted, one_line, priced, print_json, print_note, print_undo
from kaizen.cli.ticker import Ticker

if TYPE_CHECKING:
    from kaizen.sync import Consolidated


def consolidate(
    namespace: NamespaceArgument = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; otherwise only say what would be done.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Model that says which tips are one lesson and words it, by its LiteLLM name; offline: "
            "none, and only what the words leave no doubt of [env: KAIZEN_CONFLICT_RESOLUTION_MODEL]",
            show_default=False,
        ),
    ] = None,
    in_namespace: NamespaceOption = None,
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Merge active tips that teach one lesson, so that agents read it once.

    The best backed one stays and takes over the evidence of the others, which are retired and lead to it.
    What a person wrote keeps its words and is never merged into another; tips that contradict each other stay
    as they are. All is one commit: `kaizen entities revert` undoes it. Without --apply no model is asked.

    Example: kaizen entities consolidate --apply
    """
    from kaizen.sync import Consolidation, ModelSettings, load_embedder

    ticker = Ticker(quiet=json)
    with opened(backend, data_dir, namespace, in_namespace) as (store, namespace_id):
        run = Consolidation(
            store,
            namespace_id,
            ModelSettings.from_environ(os.environ, model=model),
            embedder=load_embedder(),
            progress=lambda answers, cost_usd: ticker.say(
                f"Asking the model: {counted(answers, 'cluster')} answered, {cost_usd:.4f} USD"
            ),
        )
        with ticker:
            ticker.start("Comparing the tips")
            done = run.apply() if apply else run.plan()
    if json:
        print_json(done.to_json())
    else:
        _print(done, applied=apply)


def _print(done: Consolidated, *, applied: bool) -> None:
    for merge in done.merges:
        print_text(f"{one_line(merge.tip.id)}  support {merge.tip.support}")
        print_text(f"    {one_line(merge.tip.content)}", indent=4, style="bold")
        for tip in merge.merged:
            print_text(f"    <- {one_line(tip.id)}  {one_line(tip.content)}", indent=7)
    fewer, saved = done.tips_before - done.tips_after, done.tokens_before - done.tokens_after
    are_left = ("is" if done.tips_after == 1 else "are") if applied else "would be"
    print_text(
        f"{done.tips_after} of {counted(done.tips_before, 'active tip')} {are_left} left, "
        f"{done.tokens_after:,} of {counted(done.tokens_before, 'token')}: "
        f"{counted(fewer, 'tip')} and {counted(saved, 'token')} fewer to read."
    )
    if done.questions:
        cost = priced(done.cost_usd)
        tokens = counted(done.usage.prompt_tokens + done.usage.completion_tokens, "token")
        clusters = counted(done.questions, "cluster")
        if applied:
            are = "answer was" if done.unusable == 1 else "answers were"
            unusable = f"; {done.unusable} {are} unusable" if done.unusable else ""
            print_note(f"{clusters} put to {done.model}: {tokens}, {cost}{unusable}")
        else:
            print_note(f"{clusters} for {done.model}, which may keep some apart: about {tokens}, {cost}")
    if done.commit_id:
        print_undo(done.namespace_id, done.commit_id)
    elif fewer and not applied:
        print_note(f"To do it: kaizen entities consolidate {done.namespace_id} --apply")
