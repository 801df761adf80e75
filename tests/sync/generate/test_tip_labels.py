"""The labels of tips that a person read: well-formed, and without anything of held-out tools."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

QUESTIONS = ("true", "useful", "general", "readable")


def test_each_label_answers_all_questions_and_gives_a_reason_for_a_no(repository: Path) -> None:
    lines = (repository / "benchmarks/data/tip_labels.jsonl").read_text(encoding="utf-8").splitlines()
    labels = [json.loads(line) for line in lines]

    assert len({label["id"] for label in labels}) == len(labels) > 0
    for label in labels:
        answers = [label[question] for question in QUESTIONS]
        assert all(type(answer) is bool for answer in answers), label
        assert all(answers) == (not label.get("note")), label
        assert label["runs"] > 0
        assert ("tip" in label) == (label["source"] != "held out"), "words of held-out tools are kept out"


def test_each_unseen_run_has_calls_with_results(repository: Path) -> None:
    lines = (repository / "benchmarks/data/unseen_runs.jsonl").read_text(encoding="utf-8").splitlines()
    runs = [json.loads(line) for line in lines]

    assert {run["outcome"] for run in runs} == {"success", "failure"}
    for run in runs:
        calls = [step for step in run["steps"] if isinstance(step, list)]
        assert calls, run
        assert all(
            isinstance(arguments, dict) and isinstance(result, str) for _, arguments, result in calls
        ), run
