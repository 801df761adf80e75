"""Send what the proof_world benchmark recorded to a Phoenix, and compare the verdicts with the truth."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from lift_report import print_table, share_of
from lift_tips import NAMESPACE
from world_traces import PROJECT

from kaizen.demo.phoenix_server import PhoenixServer
from kaizen.sync import OFFLINE

if TYPE_CHECKING:
    import argparse

T = TypeVar("T")
RIGHT = {"helps": "helps", "harms": "harms", "idle": "no difference"}
_BATCH = 50
_WAIT_S = 180.0


def judge(options: argparse.Namespace) -> None:
    """Send what was recorded to a Phoenix, sync, and print the verdict of each tip beside the truth."""
    outcomes = [json.loads(line) for line in (options.dir / "outcomes.jsonl").read_text().splitlines()]
    with tempfile.TemporaryDirectory(prefix="kaizen-proof-") as directory:
        with PhoenixServer(options.phoenix, Path(directory) / "phoenix") as server:
            _send(server.url, options.dir / "requests.jsonl", outcomes)
            url = ["--url", server.url, "--project", PROJECT, "--settle", "0s"]
            print(_kaizen(options.dir, "sync", "phoenix", *url))
        proof = json.loads(_kaizen(options.dir, "proof", "--json"))
    rows = judged_rows(proof, json.loads((options.dir / "truth.json").read_text()), outcomes)
    print(proof["headline"])
    _print(rows)
    if options.json:
        options.json.write_text(json.dumps({"proof": proof, "tips": rows}, indent=1))


def _send(url: str, requests: Path, outcomes: Sequence[Mapping[str, Any]]) -> None:
    """Send spans as an exporter does, and annotations as a judge of runs does."""
    limits = httpx.Limits(max_keepalive_connections=0)
    headers = {"Content-Type": "application/x-protobuf"}
    with httpx.Client(base_url=url, trust_env=False, timeout=120, limits=limits) as client:
        for lines in _batches(requests.read_text().splitlines()):
            client.post("/v1/traces", content=_protobuf(lines), headers=headers).raise_for_status()
        _wait(client, len(outcomes))
        for some in _batches(outcomes):
            said = [_success(one) for one in some]
            client.post("/v1/trace_annotations?sync=true", json={"data": said}).raise_for_status()


def _success(one: Mapping[str, Any]) -> dict[str, Any]:
    result = {"label": one["label"]}
    return {"trace_id": one["trace_id"], "name": "success", "annotator_kind": "CODE", "result": result}


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))


def _protobuf(lines: Sequence[str]) -> bytes:
    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    resources = [resource for line in lines for resource in json.loads(line)["resourceSpans"]]
    for span in (span for resource in resources for span in resource["scopeSpans"][0]["spans"]):
        # OTLP writes ids in hex, where protobuf's own JSON has base64.
        for key in {"traceId", "spanId", "parentSpanId"} & span.keys():
            span[key] = base64.b64encode(bytes.fromhex(span[key])).decode()
    request = ParseDict({"resourceSpans": resources}, ExportTraceServiceRequest())
    return bytes(request.SerializeToString())


def _wait(client: httpx.Client, traces: int) -> None:
    """Wait until Phoenix has stored all traces: it answers before."""
    deadline, query = time.monotonic() + _WAIT_S, {"query": "{projects{edges{node{name traceCount}}}}"}
    while time.monotonic() < deadline:
        edges = client.post("/graphql", json=query).json()["data"]["projects"]["edges"]
        if any(e["node"]["name"] == PROJECT and e["node"]["traceCount"] >= traces for e in edges):
            return
        time.sleep(0.5)
    raise SystemExit(f"Phoenix did not store {traces} traces within {_WAIT_S:g} s")


def _kaizen(directory: Path, *arguments: str) -> str:
    """Run the command on the store, with settings of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KAIZEN_", "PHOENIX_"))}
    where = ["--data-dir", str((directory / "store").absolute()), "--namespace", NAMESPACE]
    command = [sys.executable, "-m", "kaizen.cli", *arguments, *where]
    ran = subprocess.run(command, env={**kept, "KAIZEN_TIPS_MODEL": OFFLINE}, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"kaizen {' '.join(arguments)} failed: {ran.stderr or ran.stdout}")
    return ran.stdout


def judged_rows(
    proof: Mapping[str, Any], truth: Mapping[str, Any], outcomes: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return what is known of each tip: by construction, by the world's own count, and by the verdict."""
    measured = {tip["id"]: tip for tip in proof["tips"]}
    rows = []
    for tip_id, known in sorted(truth.items(), key=lambda item: item[1]["truth"]):
        tip = measured.get(tip_id)
        verdict = tip["verdict"]["name"] if tip else "open"
        is_right = verdict == RIGHT[known["truth"]]
        judged = "open" if verdict == "open" else "right" if is_right else "wrong"
        counted = {name: _counted(tip_id, name, outcomes) for name in ("shown", "held_out")}
        numbers = {"world": counted, "measured": tip}
        rows.append({"id": tip_id, **known, "verdict": verdict, "judged": judged, **numbers})
    return rows


def _counted(tip_id: str, group: str, outcomes: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Count how units with the tip, or without it, did by the state of the world; no sync takes part."""
    own = [one for one in outcomes if tip_id in one[group] and not one["is_control"]]
    first = sum(one["is_first_try"] for one in own)
    return {"units": len(own), "first_try": first, "success": sum(one["label"] == "success" for one in own)}


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    table = [[*_counted_cells(row), *_measured_cells(row), row["verdict"], row["judged"]] for row in rows]
    world = ["shown", "held out", "first try with", "first try without", "success with", "success without"]
    headers = ["tip", "made to", *world, "decided by", "points", "verdict", ""]
    print_table("Verdicts, and what the world itself counted.", headers, table)
    counts = Counter(row["judged"] for row in rows)
    print(f"\n{counts['right']} right, {counts['open']} open, {counts['wrong']} wrong")


def _counted_cells(row: Mapping[str, Any]) -> Iterator[str]:
    yield from (row["content"].split(":")[0], row["truth"])
    groups = [row["world"][name] for name in ("shown", "held_out")]
    yield from (str(group["units"]) for group in groups)
    for name in ("first_try", "success"):
        yield from (_share(group[name], group["units"]) for group in groups)


def _share(hits: int, units: int) -> str:
    return share_of([True] * hits + [False] * (units - hits)) if units else "-"


def _measured_cells(row: Mapping[str, Any]) -> list[str]:
    """Return the outcome that decided, or else the one that differs most, with its interval in points."""
    tip = row["measured"] or {"estimates": {}, "verdict": {"because": None}}
    mains = {kind: one for kind, one in tip["estimates"].items() if kind in ("signature", "success")}
    kind = tip["verdict"]["because"] or max(mains, key=lambda kind: abs(_gain(mains[kind])), default=None)
    if kind is None:
        return ["-", "-"]
    one = tip["estimates"][kind]
    return [kind, f"{100 * _gain(one):+.0f} [{100 * one['low']:.0f}, {100 * one['high']:.0f}]"]


def _gain(estimate: Mapping[str, float]) -> float:
    return estimate["rate_shown"] - estimate["rate_held_out"]
