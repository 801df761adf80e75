"""A sync with a model that gives no usable answer ends with what a sync without a model ends with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.demo.model_server import Fault, ModelServer, Scenarios
from kaizen.store import StoreSettings, open_store
from kaizen.sync import OFFLINE, ModelSettings, Sync, SyncSettings
from kaizen.tips.tip import StoredTip
from tests.support.listed import ListedSource, one_call

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.sync import Report
    from kaizen.sync.model import Trace

MODEL = "openai/weak"
# A tip of a model's own, beside what the calls prove.
OWN = {
    "content": "Tell the user when the node `n` is back.",
    "category": "strategy",
    "trigger": "A node is restarted.",
    "quote": "Restart node",
}


def drained(number: int) -> Trace:
    """A run in which a restart was refused until the node was drained."""
    node = f"node-{number}"
    said: list[dict[str, Any]] = [{"role": "user", "content": f"Restart node {node}."}]
    steps = [
        ("restart_node", f"Error: {node} has {40 + number} active sessions; drain it first"),
        ("drain_node", "drained"),
        ("restart_node", "restarted"),
    ]
    for n, (tool, result) in enumerate(steps):
        function = {"name": tool, "arguments": json.dumps({"node": node})}
        said += [
            {"role": "assistant", "tool_calls": [{"id": f"c{n}", "function": function}]},
            {"role": "tool", "tool_call_id": f"c{n}", "content": result},
        ]
    return one_call(f"t{number}", number, said, "Done.")


def learn(path: Path, model: str) -> tuple[Report, set[tuple[str, str, int]]]:
    with open_store(StoreSettings(data_dir=path)) as store:
        models = ModelSettings(tips_model=model, reconcile_model=model, timeout_s=10, attempts=1)
        source = ListedSource([drained(number) for number in range(4)])
        report = Sync(source, store, SyncSettings(quiet_s=0.0), models).run()
        tips = map(StoredTip.of, store.iterate("kaizen", type="guideline"))
        return report, {(tip.content, tip.status, tip.support) for tip in tips}


@pytest.mark.parametrize("kind", ["nonsense", "empty"])
def test_without_one_usable_answer_all_that_needs_no_model_is_learned(
    kind: Any, server: ModelServer, tmp_path: Path
) -> None:
    server.fail(Fault(kind=kind), times=None)
    report, learned = learn(tmp_path / "weak", MODEL)
    assert learned == learn(tmp_path / "offline", OFFLINE)[1]
    [(content, status, support)] = learned
    assert content.startswith("Call `drain_node` before calling `restart_node`")
    assert (status, support) == ("active", 4)
    assert report.tips_dropped == {"no usable answer": 4}
    # Tips that claim the same are not put to the model: two questions about each run, none about tips.
    assert {request.schema_name for request in server.requests} == {"kaizen_tips"}


def test_an_unusable_comparison_of_tips_keeps_nothing_from_being_learned(
    server: ModelServer, tmp_path: Path
) -> None:
    rules = [
        {
            "pattern": r"Restart node (?P<n>node-\d)",
            "answer": {**OWN, "content": OWN["content"] + r" Soon: \g<n>."},
        }
    ]
    server.scenarios = Scenarios.from_json({"tips": rules})
    server.fail(Fault(kind="nonsense", schema="kaizen_reconcile"), times=None)
    report, learned = learn(tmp_path, MODEL)
    assert "kaizen_reconcile" in {request.schema_name for request in server.requests}
    assert report.failures == []
    assert ("active", 4) in {
        (status, support) for content, status, support in learned if "drain_node" in content
    }
