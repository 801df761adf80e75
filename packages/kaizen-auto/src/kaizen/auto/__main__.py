"""`python -m kaizen.auto`: what would be traced here, where to, and whether the collector answers."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec

from kaizen.auto import _is_on
from kaizen.auto.report import FrameworkStatus, Status, status


def main(arguments: list[str] | None = None) -> int:
    """Print the report; the exit code is 1 if tracing is on and its spans have nowhere to go."""
    parser = argparse.ArgumentParser(prog="python -m kaizen.auto", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    given = parser.parse_args(arguments)
    report = status(probe=True)
    text = json.dumps(report.to_json(), indent=2) if given.json else as_text(report)
    sys.stdout.write(text + "\n")
    return 1 if report.state != "off" and report.collector and not report.collector.answers else 0


def as_text(report: Status) -> str:
    lines = [
        f"kaizen-auto {report.version}",
        f"  tracing    {_meaning(report)}",
        f"  project    {report.project}",
        f"  endpoint   {report.endpoint} ({report.protocol})",
    ]
    lines += [
        f"  headers    {name} is not sent: OpenTelemetry's variables name the endpoint of another host"
        for name in report.unused_headers
    ]
    if report.collector is not None:
        lines.append(
            f"  collector  {'answers' if report.collector.answers else 'FAILS'}: {report.collector.detail}"
        )
        if not report.collector.answers:
            lines.append("             start one with `phoenix serve`, or set KAIZEN_TRACING_ENDPOINT")
    lines.append(f"  recall     {_recall()}")
    lines.append("  frameworks")
    lines += [f"    {framework.name:<14} {_framework(framework)}" for framework in report.frameworks]
    return "\n".join(lines)


def _meaning(report: Status) -> str:
    return {
        "off": f"off: {report.reason}; set KAIZEN_AUTO_ENABLED=true",
        "waiting": "on: each framework is traced once the agent imports it",
        "standing back": f"standing back: {report.reason}; enable_tracing(force=True) overrides",
        "tracing": "on",
    }[report.state]


def _recall() -> str:
    # Looked up, not imported: importing it with the variable set would switch it on.
    if find_spec("kaizen.recall") is None:
        return "not installed: agents are given no tips"
    if not _is_on("KAIZEN_RECALL_ENABLED"):
        return "off: set KAIZEN_RECALL_ENABLED=true to give agents tips"
    return 'on: `python -m kaizen.recall "TASK"` shows which tips a task is given'


def _framework(framework: FrameworkStatus) -> str:
    if framework.version is None:
        return "not installed"
    if framework.instrumentor_version is None:
        return f"{framework.version}, NOT traced: pip install {framework.instrumentor}"
    with_instrumentor = f"{framework.version} with {framework.instrumentor} {framework.instrumentor_version}"
    return with_instrumentor + (f" - {framework.problem}" if framework.problem else "")


if __name__ == "__main__":
    sys.exit(main())
