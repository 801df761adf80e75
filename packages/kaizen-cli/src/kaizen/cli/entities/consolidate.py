"""`kaizen entities consolidate`: tips that teach one lesson become one tip."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from kaizen.cli.options import BackendOption, DataDirOption, JsonOption, NamespaceArgument, store_settings
from kaizen.cli.output import one_line, print_json, print_note, printable
from kaizen.cli.ticker import Ticker

if TYPE_CHECKING:
    from kaizen.sync.knowledge.consolidate import Consolidated


def consolidate(
    namespace: NamespaceArgument,
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
    backend: BackendOption = None,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Merge active tips that teach one lesson, so that agents read it once.

    The best backed one stays and takes over the evidence of the others, which are retired and lead to it.
    What a person wrote keeps its words and is never merged into another; tips that contradict each other stay
    as they are. All is one commit: `kaizen entities revert` undoes it. Without --apply no model is asked.

    Example: kaizen entities consolidate kaizen --apply
    """
    from kaizen.store import open_store
    from kaizen.sync.knowledge.consolidate import Consolidation
    from kaizen.sync.knowledge.similarity import load_embedder
    from kaizen.sync.settings import ModelSettings

    where = store_settings(backend, data_dir)
    ticker = Ticker(quiet=json)
    with open_store(where) as store:
        run = Consolidation(
            store,
            namespace,
            ModelSettings.from_environ(os.environ, model=model),
            embedder=load_embedder(),
            progress=lambda answers, cost_usd: ticker.say(
                f"{answers} {_noun('cluster', answers)} put to the model, {cost_usd:.4f} USD"
            ),
        )
        done = run.apply() if apply else run.plan()
    if json:
        print_json(done.to_json())
    else:
        _print(done, applied=apply)


def _print(done: Consolidated, *, applied: bool) -> None:
    for merge in done.merges:
        support = merge.tip.support
        typer.echo(f"{one_line(merge.tip.id)}  support {support}")
        typer.echo(f"    {printable(' '.join(merge.tip.content.split()))}")
        for tip in merge.merged:
            typer.echo(f"    <- {one_line(tip.id)}  {one_line(tip.content)}")
    fewer, saved = done.tips_before - done.tips_after, done.tokens_before - done.tokens_after
    said = "are left" if applied else "would be left"
    typer.echo(
        f"{done.tips_after} of {done.tips_before} active tips {said}, {done.tokens_after:,} of "
        f"{done.tokens_before:,} tokens: {fewer} {_noun('tip', fewer)} and {saved:,} tokens fewer to read."
    )
    if done.questions:
        cost = "price unknown" if done.cost_usd is None else f"{done.cost_usd:.4f} USD"
        tokens = done.usage.prompt_tokens + done.usage.completion_tokens
        clusters = f"{done.questions} {_noun('cluster', done.questions)}"
        if applied:
            unusable = f"; {done.unusable} answers were unusable" if done.unusable else ""
            print_note(f"{clusters} put to {done.model}: {tokens:,} tokens, {cost}{unusable}")
        else:
            print_note(
                f"{clusters} for {done.model}, which may keep some apart: about {tokens:,} tokens, {cost}"
            )
    if done.commit_id:
        print_note(f"To undo it: kaizen entities revert {done.namespace_id} --commit {done.commit_id}")
    elif fewer and not applied:
        print_note(f"To do it: kaizen entities consolidate {done.namespace_id} --apply")


def _noun(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"
