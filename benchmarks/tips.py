"""How good the tips are, and what becomes of them: `python benchmarks/tips.py [SECTION ...]`.

Prints the tables of docs/explanation/tips.md, one section for each part; without an argument all of them. The
runs are those of ../shared/data/trajectories, real ones with success labels.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaizen.sync.generate.checks import retells
from kaizen.sync.generate.grounding import quoted_span
from kaizen.sync.generate.offline import mine_tips
from kaizen.sync.generate.offline.claims import Claim, past_calls
from kaizen.sync.generate.offline.templates import call_logs
from kaizen.sync.generate.offline.wording import content
from kaizen.sync.knowledge.claim_tests import verdict_of
from kaizen.sync.model import Message, Outcome, ToolCall, Trajectory

if TYPE_CHECKING:
    from kaizen.tips.tip import Tip

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

_ATIF_ROLES = {"agent": "assistant", "user": "user", "system": "system"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One real run: which data set it is of, and its trajectory."""

    dataset: str
    trajectory: Trajectory


def read_runs(data: Path) -> Iterator[Run]:
    """All runs, as the sync would hand them to a generator."""
    folder = data / "trajectories"
    retail_tools = tuple(map(json.dumps, json.loads((folder / "retail_tools.json").read_text())))
    yield from _chats("tau2_retail", folder / "tau2_retail.jsonl.gz", retail_tools)
    yield from _chats("swebench", folder / "swebench_lite_test_deepseek_django24.jsonl.gz", ())
    for path in sorted((folder / "atif_harbor").glob("*.json")):
        document = json.loads(path.read_text())
        # One file holds several runs by name.
        for run in [document] if "steps" in document else document.values():
            yield Run(dataset="atif_harbor", trajectory=_of_atif(run, path.stem))


def _chats(dataset: str, path: Path, tools: tuple[str, ...]) -> Iterator[Run]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            run = json.loads(line)
            messages = tuple(_message(value, str(n)) for n, value in enumerate(run["messages"]))
            outcome = Outcome(name="success" if run["success"] else "failure", judged_by="label")
            yield Run(
                dataset=dataset,
                trajectory=Trajectory(trace_id=run["id"], messages=messages, tools=tools, outcome=outcome),
            )


def _message(value: Mapping[str, Any], span_id: str) -> Message:
    calls = (
        ToolCall(id=call["id"], name=call["function"]["name"], arguments=call["function"]["arguments"])
        for call in value.get("tool_calls") or ()
    )
    return Message(
        role=value["role"],
        content=value.get("content") or "",
        tool_calls=tuple(calls),
        tool_call_id=value.get("tool_call_id") or "",
        span_id=span_id,
    )


def _of_atif(run: Mapping[str, Any], name: str) -> Trajectory:
    messages = [message for step in run["steps"] for message in _of_step(step)]
    tools = tuple(map(json.dumps, run["agent"].get("tool_definitions") or ()))
    return Trajectory(trace_id=name, messages=tuple(messages), tools=tools)


def _of_step(step: Mapping[str, Any]) -> Iterator[Message]:
    span_id = str(step["step_id"])
    calls = (
        ToolCall(id=call["tool_call_id"], name=call["function_name"], arguments=json.dumps(call["arguments"]))
        for call in step.get("tool_calls") or ()
    )
    yield Message(
        role=_ATIF_ROLES[step["source"]],
        content=_text(step.get("message")),
        tool_calls=tuple(calls),
        span_id=span_id,
    )
    for result in (step.get("observation") or {}).get("results") or ():
        call_id = result.get("source_call_id") or ""
        # What answers no call is the environment's turn.
        role = "tool" if call_id else "user"
        content = _text(result.get("content"))
        yield Message(role=role, content=content, tool_call_id=call_id, span_id=span_id)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text") or f"[{part.get('type')}]" for part in content)
    return content or ""


def print_offline(data: Path) -> None:
    """The offline generator: what it finds in real runs, and how long that takes."""
    print("| data set | runs | tips a run | runs with a tip | distinct tips | quotes in the trace |", end=" ")
    print("recovered errors | with a recovery tip | ms a run, median | longest |")
    print("|---|" + "---:|" * 9)
    runs = list(read_runs(data))
    for dataset in dict.fromkeys(run.dataset for run in runs):
        print(_offline_row(dataset, [run.trajectory for run in runs if run.dataset == dataset]))


def _offline_row(dataset: str, trajectories: Sequence[Trajectory]) -> str:
    times, mined = [], []
    for trajectory in trajectories:
        started = time.perf_counter()
        mined.append(mine_tips(trajectory))
        times.append(1_000 * (time.perf_counter() - started))
    pairs = list(zip(trajectories, mined, strict=True))
    tips = [tip for found in mined for tip in found]
    quoted = sum(quoted_span(one, tip.quote) is not None for one, found in pairs for tip in found)
    recovered = [found for one, found in pairs if has_recovered_error(one)]
    told = sum(any(tip.category == "recovery" for tip in found) for found in recovered)
    cells = [
        dataset,
        len(trajectories),
        f"{len(tips) / len(trajectories):.2f}",
        sum(map(bool, mined)),
        len({tip.content for tip in tips}),
        _share(quoted, len(tips)),
        len(recovered),
        _share(told, len(recovered)),
        f"{statistics.median(times):.1f}",
        f"{max(times):.1f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def print_mined(data: Path) -> None:
    """What is mined from all real runs, tested on all of them, and what customers left in it."""
    runs = list(read_runs(data))
    calls = [[past_calls(log) for log in call_logs(run.trajectory)] for run in runs]
    retail = [run.trajectory for run in runs if run.dataset == "tau2_retail"]
    taught: dict[Claim, int] = {}
    for run in runs:
        for tip in mine_tips(run.trajectory):
            claim = Claim.of_json(tip.claim)
            taught[claim] = taught.get(claim, 0) + 1
    print("| served | taught by | confirmed by | broken by | tip |")
    print("|---|---:|---:|---:|---|")
    for claim, times in sorted(taught.items(), key=lambda item: (item[0].tool, -item[1])):
        verdicts = [verdict_of(claim, story) for story in calls]
        broken, holds = verdicts.count("broken"), verdicts.count("holds")
        says_more = any(
            one.rank > claim.rank and one.is_same_error(claim.tool, claim.error) for one in taught
        )
        is_served = not broken and not says_more and (claim.is_stated or max(times, holds) > 1)
        print(f"| {'yes' if is_served else 'no'} | {times} | {holds} | {broken} | {content(claim)} |")
    said = "\n".join("\n".join(_texts(tip)) for one in retail for tip in mine_tips(one))
    values = _customer_values(retail)
    left = {
        kind: sorted(v for v in found if re.search(rf"(?<!\w){re.escape(v)}(?!\w)", said))
        for kind, found in values.items()
    }
    for kind, found in values.items():
        print(f"{kind}: {len(left[kind])} of {len(found)} in tips {left[kind][:5] or ''}")


def _texts(tip: Tip) -> tuple[str, ...]:
    return (tip.content, tip.trigger, tip.rationale, *tip.implementation_steps, str(dict(tip.claim)))


_PERSONAL = {
    "ids": re.compile(r"(?:order|user|item|product|payment_method|new_item)_ids?|id|payment_method_id"),
    "addresses": re.compile(r"email|address\d?|zip|street"),
    "names": re.compile(r"(?:first|last)_name"),
}


_ID = re.compile(r"#W\d{7}|\b\d{10}\b|\b[a-z]+(?:_[a-z]+)+_\d{4,7}\b")


def _customer_values(trajectories: Sequence[Trajectory]) -> dict[str, set[str]]:
    """Return the ids, addresses and names that calls and results of the runs hold."""
    found: dict[str, set[str]] = {kind: set() for kind in _PERSONAL}

    def walk(value: Any, key: str) -> None:
        if isinstance(value, dict):
            for name, part in value.items():
                walk(part, name)
        elif isinstance(value, list):
            for part in value:
                walk(part, key)
        elif isinstance(value, str) and len(value) > 2:
            for kind, pattern in _PERSONAL.items():
                if pattern.fullmatch(key):
                    found[kind].add(value)

    for message in (message for one in trajectories for message in one.messages):
        if message.role == "tool":
            found["ids"].update(_ID.findall(message.content))
        texts = [call.arguments for call in message.tool_calls]
        for text in [*texts, *([message.content] if message.role == "tool" else [])]:
            if text[:1] in "{[":
                with suppress(ValueError):
                    walk(json.loads(text), "")
    return found


def print_retelling(_: Path) -> None:
    """How well the check tells a retold run from a tip, on sentences that were labelled by hand."""
    lines = (Path(__file__).parent / "data/retelling_labels.jsonl").read_text(encoding="utf-8").splitlines()
    for half in ("tune", "held_out"):
        rows = [row for row in map(json.loads, lines) if row["half"] == half]
        for label in ("retells", "tells"):
            of_label = [row["text"] for row in rows if row["label"] == label]
            print(f"{half}: {sum(map(retells, of_label))} of {len(of_label)} labelled '{label}' are dropped")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def has_recovered_error(trajectory: Trajectory) -> bool:
    """Whether a tool gave an error, and a call of it in a later turn gave something else.

    An error is a result that begins with that word, in any case and behind no letter, or names an exit code
    other than 0. Decided apart from the generator, which looks closer.
    """
    calls = {
        call.id: (turn, call.name)
        for turn, message in enumerate(trajectory.messages)
        for call in message.tool_calls
    }
    failed: dict[str, int] = {}
    for message in trajectory.messages:
        if message.role != "tool" or message.tool_call_id not in calls:
            continue
        turn, name = calls[message.tool_call_id]
        if re.match(r"[^A-Za-z]{0,3}error\b|<returncode>(?!0<)", message.content, re.IGNORECASE):
            failed.setdefault(name, turn)
        elif failed.get(name, turn) < turn:
            return True
    return False


def print_reconcile(data: Path) -> None:
    from reconcile import print_reconciliation

    print_reconciliation(data / "tips")


def print_consolidate(data: Path) -> None:
    from consolidation import print_consolidation

    print_consolidation(data)


def print_redaction(data: Path) -> None:
    from redaction import section

    print(section(data / "trajectories"))


# The other sections are modules beside this one, which take more arguments when they are run alone.
SECTIONS: dict[str, Callable[[Path], None]] = {
    "offline": print_offline,
    "mined": print_mined,
    "retelling": print_retelling,
    "reconcile": print_reconcile,
    "consolidate": print_consolidate,
    "redaction": print_redaction,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"some of: {', '.join(SECTIONS)}")
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with trajectories and tips")
    options = parser.parse_args()
    for name in options.sections or SECTIONS:
        if name not in SECTIONS:
            parser.error(f"no section '{name}'; there are: {', '.join(SECTIONS)}")
        SECTIONS[name](options.data)


if __name__ == "__main__":
    main()
