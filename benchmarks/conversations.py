"""Measure what a conversation costs that is traced call by call, when it has 50 calls and when it has 400.

    python benchmarks/conversations.py                      # Markdown; --calls 50 200 400, --backend sqlite

Each call is a trace of one span, which repeats all messages before. CPU times are of this process, with tips
mined offline. `at once` is one sync of the whole conversation; `the next` are syncs of one more call each, by
one process, as `--watch` makes them.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kaizen.store import Store, StoreSettings, open_store
from kaizen.sync import ModelSettings, Sync, SyncSettings
from kaizen.sync.model import Anchor, Annotation, IndexedSpan, IndexedTrace, Span, Trace

START = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = ("order", "item", "address", "refund", "status", "the", "of", "customer", "and", "is", "not", "in")
MESSAGE_CHARS = 450
NEXT = 8


def text(seed: int) -> str:
    """A message like others, with numbers of its own."""
    made = random.Random(seed)
    words: list[str] = []
    while sum(map(len, words)) + len(words) < MESSAGE_CHARS:
        words.append(made.choice(WORDS) if made.random() < 0.8 else f"#W{made.randrange(10**7):07}")
    return " ".join(words)


def conversation(calls: int) -> Iterator[Trace]:
    """The calls of one loop: a call of a tool each, then its result."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": text(-1)},
        {"role": "user", "content": text(0)},
    ]
    for number in range(calls):
        call_id = f"call_{number}"
        function = {"name": "look_up", "arguments": json.dumps({"query": text(2 * number)[:80]})}
        answer = {"role": "assistant", "content": text(2 * number + 1)}
        answer |= {"tool_calls": [{"id": call_id, "function": function}]}
        yield trace(number, messages, answer)
        messages = [
            *messages,
            answer,
            {"role": "tool", "tool_call_id": call_id, "content": text(2 * number + 2)},
        ]


def trace(number: int, given: Sequence[Mapping[str, Any]], answer: Mapping[str, Any]) -> Trace:
    attributes: dict[str, Any] = {"llm.model_name": "gpt-4.1"}
    for side, messages in (("input", given), ("output", [answer])):
        for place, message in enumerate(messages):
            begin = f"llm.{side}_messages.{place}.message"
            attributes |= {f"{begin}.{key}": message[key] for key in ("role", "content")}
            if "tool_call_id" in message:
                attributes[f"{begin}.tool_call_id"] = message["tool_call_id"]
            for n, call in enumerate(message.get("tool_calls", ())):
                called = f"{begin}.tool_calls.{n}.tool_call"
                attributes[f"{called}.id"] = call["id"]
                attributes[f"{called}.function.name"] = call["function"]["name"]
                attributes[f"{called}.function.arguments"] = call["function"]["arguments"]
    start = START + timedelta(seconds=10 * number)
    span = Span(
        span_id=f"{number:016x}",
        trace_id=f"{number:032x}",
        parent_id=None,
        name="ChatCompletion",
        kind="LLM",
        status="OK",
        status_message="",
        start_time=start,
        end_time=start + timedelta(seconds=5),
        attributes=attributes,
    )
    return Trace(trace_id=span.trace_id, spans=(span,))


class Listed:
    """A source of traces that are there already, so that reading costs nothing."""

    name = "listed"
    project = "bench"
    server_version = ""
    requests = 0

    def __init__(self, traces: Iterable[Trace]) -> None:
        self.traces = {one.trace_id: one for one in traces}

    def probe(self) -> Anchor | None:
        return Anchor(row=len(self.traces), token=next(reversed(self.traces)))

    def annotations(self, target: str, ids: Sequence[str]) -> dict[str, list[Annotation]]:
        return {}

    def index(
        self, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[IndexedTrace]:
        for one in self.traces.values():
            if (since and one.start_time < since) or (until and one.start_time >= until):
                continue
            (span,) = one.spans
            spans = (IndexedSpan(span_id=span.span_id, parent_id=None, end_time=span.end_time),)
            yield IndexedTrace(trace_id=one.trace_id, start_time=one.start_time, spans=spans)

    def changed_since(self, anchor: Anchor) -> dict[str, None]:
        return dict.fromkeys(list(self.traces)[anchor.row or 0 :])

    def fetch(self, traces: Iterable[IndexedTrace]) -> Iterator[Trace]:
        return (self.traces[one.trace_id] for one in traces)

    def span_url(self, trace_id: str, span_id: str) -> str:
        return ""


def sync(store: Store, traces: Sequence[Trace], settings: SyncSettings) -> float:
    """Sync a project that has these traces; return the seconds of CPU."""
    models = ModelSettings(tips_model="offline", reconcile_model="offline")
    began = time.process_time()
    report = Sync(Listed(traces), store, settings, models).run()
    assert report.traces == len(traces), report
    return time.process_time() - began


def sync_into(data_dir: str, backend: str, *rounds: Sequence[Trace]) -> list[float]:
    """Sync what there is in each round; return the seconds of CPU of each."""
    settings = SyncSettings(quiet_s=0.0)
    with open_store(StoreSettings(data_dir=Path(data_dir), backend=backend)) as store:
        return [sync(store, traces, settings) for traces in rounds]


def stored_bytes(data_dir: str) -> int:
    return sum(path.stat().st_size for path in Path(data_dir).rglob("*") if path.is_file())


def measure(calls: int, backend: str) -> list[str]:
    traces = list(conversation(calls))
    span_bytes = sum(len(json.dumps(dict(one.spans[0].attributes))) for one in traces)
    with tempfile.TemporaryDirectory() as at_once, tempfile.TemporaryDirectory() as grown:
        (whole,) = sync_into(at_once, backend, traces)
        _, *each = sync_into(grown, backend, *(traces[: calls - NEXT + n] for n in range(NEXT + 1)))
        kept, more = stored_bytes(at_once), stored_bytes(grown)
    return [
        f"{calls}",
        f"{span_bytes / 1e6:.1f} MB",
        f"{1000 * whole / calls:.1f} ms",
        f"{kept / 1e6:.1f} MB",
        f"{kept / span_bytes:.2f}",
        f"{1000 * sorted(each)[NEXT // 2]:.0f} ms",
        f"{(more - kept) / NEXT / 1e3:.0f} KB",
    ]


HEAD = [
    "calls",
    "spans",
    "at once: CPU a trace",
    "stored",
    "stored / spans",
    "the next: CPU a sync",
    "stored more",
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, nargs="+", default=[50, 200, 400])
    parser.add_argument("--backend", default="sqlite", choices=("sqlite", "filesystem"))
    arguments = parser.parse_args()
    # What is loaded once a process belongs to no trace.
    with tempfile.TemporaryDirectory() as data_dir:
        sync_into(data_dir, arguments.backend, list(conversation(4)))
    print(f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|")
    for calls in arguments.calls:
        print(f"| {' | '.join(measure(calls, arguments.backend))} |", flush=True)


if __name__ == "__main__":
    main()
