"""The report of a sync as a person sees it."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING

import typer

from kaizen.cli.drawing import print_table, print_text
from kaizen.cli.output import counted, cut, one_line, priced, print_note
from kaizen.cli.times import local_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen.sync import Preview, Report

_NAMED = 10
_EXCERPT = 120


def print_report(report: Report, *, named: bool = False) -> None:
    """Print a report: states that add up, reasons, tips, failures; with `named` its project first."""
    if named:
        print_text(f"Project '{one_line(report.project)}'", style="bold")
    print_table(["STATE", "TRACES", "THIS RUN", "REASONS"], _states(report))
    print_text("")
    print_text(_summary([report]))
    if report.tips_dropped:
        dropped = ", ".join(f"{reason} {count}" for reason, count in sorted(report.tips_dropped.items()))
        print_text(f"Tips dropped: {dropped}.")
    if report.outcomes_updated:
        print_text(f"Outcomes updated: {report.outcomes_updated}.")
    if report.compared:
        print_text(
            f"Compared {counted(report.compared, 'failed run')} with one of the same task that succeeded."
        )
    if report.verdicts:
        print_text(f"Verdicts on tips: {report.verdicts} new; `kaizen proof` shows them.")
    if report.annotated or report.not_annotated:
        print_text(f"Annotated in Phoenix: {report.annotated}, failed: {report.not_annotated}.")
    if report.redacted:
        print_text(f"Secrets redacted: {report.redacted.total()}.")
    _print_waiting(report)
    for reason, times in report.unread.items():
        print_note(f"not read: {times} {one_line(reason)}")
    for failure in report.failures[:_NAMED]:
        print_note(
            f"failed: trace {failure.trace_id} (attempt {failure.attempts}): {one_line(failure.reason)}"
        )
    if len(report.failures) > _NAMED:
        print_note(f"failed: {len(report.failures) - _NAMED} more; --json lists all")
    if report.refusal:
        print_note(f"Error: {one_line(report.refusal)}")
    _print_next(report)
    if named:
        print_text("")


def print_totals(reports: Sequence[Report]) -> None:
    """Print what the reports add up to."""
    states: Counter[str] = Counter()
    for report in reports:
        states.update(report.states)
    held = ", ".join(f"{count} {state}" for state, count in sorted(states.items()) if count) or "none"
    traces = counted(states.total(), "trace")
    print_text(
        f"All {counted(len(reports), 'project')}: {traces} ({held}). {_summary(reports)}", style="bold"
    )


def _states(report: Report) -> list[list[str]]:
    reasons: dict[str, list[str]] = {}
    for (state, reason), count in sorted(report.reasons.items()):
        if state != "failed":
            reasons.setdefault(state, []).append(f"{count} {reason}")
    rows = [
        [state, str(report.states[state]), str(report.processed[state]), ", ".join(reasons.get(state, []))]
        for state in report.to_json()["states"]
    ]
    return [*rows, ["all", str(report.traces), str(report.processed.total()), ""]]


def _summary(reports: Sequence[Report]) -> str:
    tips = sum((report.tips for report in reports), Counter())
    tokens = sum(report.prompt_tokens + report.completion_tokens for report in reports)
    costs = [report.cost_usd for report in reports]
    # One unknown price makes the sum unknown.
    cost = None if None in costs else sum(each or 0.0 for each in costs)
    return (
        f"Tips: {tips['created']} new, {tips['duplicates']} seen before, {tips['merged']} merged, "
        f"{tips['removed']} removed, {tips['quarantined']} quarantined. "
        f"Model calls: {sum(report.model_calls for report in reports)} "
        f"({counted(tokens, 'token')}, {priced(cost)}). "
        f"{sum(report.duration_s for report in reports):.1f} s."
    )


def _print_waiting(report: Report) -> None:
    waiting = list(report.quarantined.values())
    for tip in waiting[:_NAMED]:
        print_note(f"quarantined: {cut(tip.content, _EXCERPT)} ({one_line(tip.quarantine_reason)})")
    if waiting:
        more = f"{len(waiting) - _NAMED} more; " if len(waiting) > _NAMED else ""
        print_note(f"quarantined: {more}look at them: kaizen entities review {report.namespace_id}")


def _print_next(report: Report) -> None:
    """Say what comes next: another sync, an agent that must run first, or a look at the tips."""
    project = one_line(report.project)
    if report.stopped:
        print_note("Stopped before the end; run it again to go on.")
    elif report.states["failed"]:
        print_note("The next sync tries failed traces again.")
    elif not report.traces and report.reading == "window":
        print_note(f"No trace of project '{project}' started between --since and --until.")
    elif not report.traces:
        how = f"with KAIZEN_AUTO_ENABLED=true and KAIZEN_TRACING_PROJECT={project}"
        # Only what goes to Phoenix is traced by Kaizen itself.
        print_note(
            f"Project '{project}' has no traces yet"
            + (f": run an agent {how}" if report.source == "phoenix" else "")
        )
    # A program that reads the output needs no advice.
    elif sys.stdout.isatty():
        print_note(f"Look at the tips: kaizen entities list {report.namespace_id} --type guideline")
    if running := report.reasons["deferred", "still running"]:
        print_note(f"{running} may still be running; the next sync looks again (--settle 0 waits for none).")


def print_line(report: Report) -> None:
    """Print one line for one round of many."""
    states = ", ".join(f"{count} {state}" for state, count in sorted(report.processed.items()) if count)
    typer.echo(
        f"{local_time(report.started_at)} {one_line(report.project)}: {counted(report.traces, 'trace')}; "
        f"this round: {states or 'nothing new'}; {counted(report.tips['created'], 'new tip')}, "
        f"{priced(report.cost_usd)}"
        + (f"; {report.outcomes_updated} outcomes updated" if report.outcomes_updated else "")
        + (f"; {one_line(report.refusal)}" if report.refusal else "")
    )


def print_preview(preview: Preview, *, named: bool = False) -> None:
    """Print what a sync would process; with `named` its project first."""
    if named:
        print_text(f"Project '{one_line(preview.project)}'", style="bold")
    print_table(["TRACE", "TOKENS"], [[t, f"about {n:,}"] for t, n in preview.tokens.items()])
    compared = f", and compare {counted(len(preview.compared), 'pair')} of runs" if preview.compared else ""
    print_text("")
    print_text(
        f"Would process {counted(len(preview.tokens), 'trace')} and skip {preview.skipped}{compared}: about "
        f"{counted(preview.prompt_tokens, 'token')} for {preview.model}, {priced(preview.cost_usd)}. "
        "Nothing was done."
    )
