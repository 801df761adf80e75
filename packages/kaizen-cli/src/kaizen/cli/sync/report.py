"""The report of a sync as a person sees it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from kaizen.cli.output import one_line, print_note, print_table

if TYPE_CHECKING:
    from kaizen.sync import Preview, Report

_NAMED = 10
_EXCERPT = 120


def print_report(report: Report) -> None:
    """Show a report to a person: states that add up, reasons, tips, failures."""
    reasons: dict[str, list[str]] = {}
    for (state, reason), count in sorted(report.reasons.items()):
        if state != "failed":
            reasons.setdefault(state, []).append(f"{count} {reason}")
    print_table(
        ["STATE", "TRACES", "THIS RUN", "REASONS"],
        [
            [
                state,
                str(report.states[state]),
                str(report.processed[state]),
                ", ".join(reasons.get(state, [])),
            ]
            for state in report.to_json()["states"]
        ]
        + [["all", str(report.traces), str(report.processed.total()), ""]],
    )
    tips = report.tips
    typer.echo(
        f"\nTips: {tips['created']} new, {tips['duplicates']} seen before, {tips['merged']} merged, "
        f"{tips['removed']} removed, {tips['quarantined']} quarantined. "
        f"Model calls: {report.model_calls} "
        f"({report.prompt_tokens + report.completion_tokens:,} tokens, {_cost(report.cost_usd)}). "
        f"{report.duration_s:.1f} s."
    )
    if report.tips_dropped:
        dropped = ", ".join(f"{reason} {count}" for reason, count in sorted(report.tips_dropped.items()))
        typer.echo(f"Tips dropped: {dropped}.")
    if report.outcomes_updated:
        typer.echo(f"Outcomes updated: {report.outcomes_updated}.")
    if report.annotated or report.not_annotated:
        typer.echo(f"Annotated in Phoenix: {report.annotated}, failed: {report.not_annotated}.")
    if report.redacted:
        typer.echo(f"Secrets redacted: {report.redacted.total()}.")
    waiting = list(report.quarantined.values())
    for tip in waiting[:_NAMED]:
        typer.echo(f"quarantined: {one_line(tip.content)[:_EXCERPT]} ({one_line(tip.reason)})", err=True)
    if waiting:
        more = f"{len(waiting) - _NAMED} more; " if len(waiting) > _NAMED else ""
        typer.echo(f"quarantined: {more}look at them: kaizen entities review {report.namespace_id}", err=True)
    for failure in report.failures[:_NAMED]:
        typer.echo(
            f"failed: trace {failure.trace_id} (attempt {failure.attempts}): {one_line(failure.reason)}",
            err=True,
        )
    if len(report.failures) > _NAMED:
        typer.echo(f"failed: {len(report.failures) - _NAMED} more; --json lists all", err=True)
    if report.refusal:
        typer.echo(f"Error: {one_line(report.refusal)}", err=True)
    if report.stopped:
        typer.echo("Stopped before the end; run it again to go on.", err=True)
    elif report.states["failed"]:
        typer.echo("The next sync tries failed traces again.", err=True)
    elif not report.traces and report.reading == "window":
        print_note(f"No trace of project '{one_line(report.project)}' started between --since and --until.")
    elif not report.traces:
        print_note(
            f"Project '{one_line(report.project)}' has no traces yet: run an agent with "
            f"KAIZEN_AUTO_ENABLED=true and KAIZEN_TRACING_PROJECT={one_line(report.project)}"
        )
    elif sys.stdout.isatty():
        typer.echo(f"Look at the tips: kaizen entities list {report.namespace_id} --type guideline", err=True)
    running = report.reasons["deferred", "still running"]
    if running:
        print_note(f"{running} may still be running; the next sync looks again (--settle 0 waits for none).")


def print_line(report: Report) -> None:
    """One line for one round of many."""
    states = ", ".join(f"{count} {state}" for state, count in sorted(report.processed.items()) if count)
    at = f"{report.started_at.astimezone():%Y-%m-%d %H:%M:%S}"
    typer.echo(
        f"{at} {one_line(report.project)}: {report.traces} traces; "
        f"this round: {states or 'nothing new'}; {report.tips['created']} new tips, {_cost(report.cost_usd)}"
        + (f"; {report.outcomes_updated} outcomes updated" if report.outcomes_updated else "")
        + (f"; {one_line(report.refusal)}" if report.refusal else "")
    )


def print_preview(preview: Preview) -> None:
    """What a sync would process."""
    print_table(["TRACE", "TOKENS"], [[t, f"about {n:,}"] for t, n in preview.tokens.items()])
    typer.echo(
        f"\nWould process {len(preview.tokens)} traces and skip {preview.skipped}: about "
        f"{sum(preview.tokens.values()):,} tokens for {preview.model}, {_cost(preview.cost_usd)}. "
        "Nothing was done."
    )


def _cost(cost_usd: float | None) -> str:
    return "price unknown" if cost_usd is None else f"{cost_usd:.4f} USD"
