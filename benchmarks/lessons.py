"""Traces that teach something, and a scripted model that finds it, also in other words."""

from __future__ import annotations

import random

from kaizen.demo.model_server import Scenarios

SUBJECTS = [
    f"{what}_{kept}"
    for what in ("orders", "customers", "refunds", "shipments", "invoices", "carts", "coupons", "returns")
    for kept in ("table", "view", "index", "log", "archive", "cache", "queue", "mirror", "export", "history")
]
WORDINGS = (
    "Read the schema of {} before you query it.",
    "Before you query {}, look at its schema.",
    "Look up which columns {} has before a query.",
    "Query {} only after you have read its schema.",
    "Always read the schema of {} first, then query it.",
)
LESSONS = len(SUBJECTS) * len(WORDINGS)


def lesson(number: int) -> str:
    """What the trace of that number says: a few subjects come often, many seldom."""
    chosen = random.Random(number)
    subject = min(int(chosen.expovariate(4 / len(SUBJECTS))), len(SUBJECTS) - 1)
    return f"LESSON-{subject}-{chosen.randrange(len(WORDINGS))}. tell me"


def teaching() -> Scenarios:
    """A model that finds those lessons, and takes what is said of one subject for the same."""
    tips = [
        {
            "pattern": rf"LESSON-{number}-{wording}\.",
            "answer": {
                "content": text.format(subject),
                "category": "strategy",
                "rationale": "The query failed.",
                "trigger": f"When {subject} is queried.",
                "implementation_steps": [],
                "task_description": "A query.",
                "quote": r"\g<0>",
            },
        }
        for number, subject in enumerate(SUBJECTS)
        for wording, text in enumerate(WORDINGS)
    ]
    new, known = r"1\. [^\n]*?\b(?P<one>[a-z]+_[a-z]+)\b[^\n]*\n", r"(?P<n>\d+)\. [^\n]*?(?P=one)\b"
    same = rf"{new}\nKNOWN tips:\n(?:[^\n]*\n)*?{known}"
    answer = {"new": 1, "decision": "duplicate", "known": r"\g<n>", "content": None}
    return Scenarios.from_json({"tips": tips, "decisions": [{"pattern": same, "answer": answer}]})
