"""What consolidating real tips does: `python benchmarks/consolidation.py`.

Prints the table of docs/explanation/tips.md. The tips are those of ../shared/data/tips, each backed
by one story. The model's part is played by a server that finds every cluster it is shown to be one lesson,
which is the most that a model can save; `--model NAME` has a real one play it too.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from kaizen.demo.model_server import ModelServer, Scenarios
from kaizen.store import Put, Store, StoreSettings, open_store
from kaizen.sync import Consolidation, ModelSettings, load_embedder
from kaizen.sync.llm.calling import import_litellm

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SCRIPTED = "openai/gpt-4.1-mini"

# Every cluster is one lesson, in the words of its best backed tip.
ALL_ONE = {
    "groups": [
        {
            "pattern": r"(?m)^1\. (?P<content>.*?) \((?:when: (?P<trigger>.*?); )?support: \d+\)$",
            "answer": {"members": list(range(1, 100)), "content": r"\g<content>", "trigger": ""},
        }
    ]
}


def read_tips(data: Path) -> list[Put]:
    """The tips as a sync would have stored them, each with a story of its own."""
    lines = (data / "tips" / "ace_appworld_offline_bullets.jsonl").read_text(encoding="utf-8").splitlines()
    return [_tip(json.loads(line)) for line in lines]


def _tip(bullet: dict[str, str]) -> Put:
    source = {"source": "phoenix", "project": "appworld", "trace_id": bullet["id"], "span_id": "s"}
    return Put(
        type="guideline",
        content=bullet["text"],
        metadata={
            "status": "active",
            "creation_mode": "auto-phoenix",
            "task_description": bullet["section"],
            "support": 1,
            "sources": [source],
        },
    )


def print_consolidation(data: Path, models: tuple[str, ...] = ()) -> None:
    """One row for each way to decide which tips are one lesson."""
    # Loaded beforehand, so that tokens are counted alike and its import is not measured.
    import_litellm()
    print(
        "| decided by | tips | clusters | largest | questions | tokens | saved | stories | a second run | s |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---|---:|")
    print(_row("the words (`offline`)", "offline", data))
    with ModelServer(scenarios=Scenarios.from_json(ALL_ONE)) as server:
        before = {name: os.environ.get(name) for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY")}
        os.environ |= {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "scripted"}
        print(_row("a model that finds all one", SCRIPTED, data))
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
    for model in models:
        print(_row(f"`{model}`", model, data))


def _row(label: str, model: str, data: Path) -> str:
    embedder = load_embedder()
    with (
        tempfile.TemporaryDirectory() as directory,
        open_store(StoreSettings(backend="sqlite", data_dir=Path(directory), embedder="none")) as store,
    ):
        store.create_namespace("tips")
        store.commit("tips", read_tips(data))
        stories = _stories(store)
        started = time.perf_counter()
        settings = ModelSettings(reconcile_model=model)
        done = Consolidation(store, "tips", settings, embedder=embedder).apply()
        took_s = time.perf_counter() - started
        again = Consolidation(store, "tips", settings, embedder=embedder).apply()
        kept = _stories(store)
    saved = 1 - done.tokens_after / done.tokens_before
    cells = [
        label,
        f"{done.tips_before} to {done.tips_after}",
        len(done.merges),
        max((1 + len(merge.merged) for merge in done.merges), default=0),
        done.questions,
        f"{done.tokens_before:,} to {done.tokens_after:,}",
        f"{saved:.0%}",
        f"{len(stories)} to {len(kept)}",
        "does nothing" if again.commit_id is None and not again.questions else "changes something",
        f"{took_s:.1f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _stories(store: Store) -> list[str]:
    """The stories behind the active tips; one that backed two tips would be counted twice."""
    tips = store.iterate("tips", type="guideline", where={"status": "active"})
    return [source["trace_id"] for tip in tips for source in tip.metadata["sources"]]  # type: ignore[index,misc,union-attr]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with the tips")
    parser.add_argument("--model", action="append", default=[], metavar="NAME", help="also ask this model")
    options = parser.parse_args()
    print_consolidation(options.data, tuple(options.model))


if __name__ == "__main__":
    main()
