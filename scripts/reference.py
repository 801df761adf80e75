"""Write docs/reference/ from the command and the settings; with --check, only say if it is up to date."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from kaizen.cli.app import app

# Run as a file, this module is on the path and its folder is not a package.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from scripts import settings_reference

TARGET = Path(__file__).resolve().parent.parent / "docs/reference/cli.md"

INTRODUCTION = """\
# The `kaizen` command

<!-- Written by scripts/reference.py from the command itself: `hatch run docs` writes it again. -->

`python -m kaizen.cli` and the older spelling `python -m kaizen.frontend.cli.cli` run the same command.

The namespace may be left out: it is `KAIZEN_NAMESPACE_ID`, else `kaizen`. An id may be cut to a beginning
that no other has. On a terminal, or with `COLUMNS` set, tables fit the width; in a pipe each row is one plain
line. Times are local, with their zone; in JSON they are RFC 3339, in UTC.

What counts is the option, then the environment variable, then `.env` in the working directory, then the
default. An empty variable counts as unset. All variables: [settings](settings.md).

Results go to stdout, everything else (progress, notes, errors) to stderr.

| exit code | means |
|---|---|
| 0 | done |
| 1 | something failed: one line `Error: ...` on stderr says what, and what to do. Also: a sync in which a \
trace failed, that was stopped, or whose model refuses every call or was unavailable; \
a `kaizen doctor` in which a check failed |
| 2 | the command is not written as it should be: stderr shows how |
| 70 | a defect of Kaizen; `KAIZEN_DEBUG=true` or `kaizen --debug` shows the stack trace |

With `--json`, stdout is one JSON document whatever happens. A command that ends with an error prints
`{"error": {"type": ..., "message": ...}}`; a sync with failed traces prints its report. A sync of several
projects prints `{"projects": [...]}` with a report of each, one with `--dry-run`
`{"previews": [...]}`, and one with `--watch` a report a line. A list with
`--all` that fails on the way has `error` beside the entities it got.
"""

COMMIT = {
    "id": "id of the commit",
    "version": "version of the namespace after it",
    "at": "time, RFC 3339",
    "actor": "who",
    "reason": "why",
    "run_id": "run it belongs to, or null",
    "changes[].entity_id": "an entity it touched",
    "changes[].change": "`created`, `changed` or `deleted`",
}
ENTITY = {
    "id": "id of the entity",
    "namespace": "its namespace",
    "type": "`guideline` (a tip), `trajectory`, ...",
    "content": "its text",
    "metadata": "its fields; those of a tip: [the loop](../explanation/loop.md#what-a-tip-carries)",
    "created_at": "time, RFC 3339",
    "updated_at": "time, RFC 3339",
    "revision": "1 when created, one more with every change",
}
NAMESPACE = {
    "id": "the namespace",
    "created_at": "time, RFC 3339",
    "version": "how many commits it has seen",
}

# The documents that `--json` prints. A value may hold more than is listed only where it is a map of names.
JSON_KEYS: dict[str, dict[str, str]] = {
    "sync phoenix": {
        "run_id": "id of this run; every commit it made carries it",
        "source": "`phoenix`",
        "project": "the project that was read",
        "namespace": "where tips and records went",
        "traces": "how many traces the project has: [what is counted](../explanation/sync.md#counts)",
        "states.learned": "traces that taught at least one tip",
        "states.no_lesson": "traces in which the model saw no lesson, or none that passed the checks",
        "states.deferred": "traces left for a later sync; `reasons` says why",
        "states.skipped": "traces that will not be read; `reasons` says why",
        "states.failed": "traces that failed; `failures` lists them. These five add up to `traces`",
        "processed.learned": "traces that this run worked on, by state",
        "processed.no_lesson": "likewise",
        "processed.deferred": "likewise",
        "processed.skipped": "likewise",
        "processed.failed": "likewise",
        "reasons[].state": "a state",
        "reasons[].reason": "a reason for it",
        "reasons[].traces": "how many traces are in it for that reason",
        "failures[].trace_id": "a trace that failed",
        "failures[].reason": "why",
        "failures[].attempts": "how often in a row by now",
        "tips.created": "new tips",
        "tips.duplicates": "lessons that were known: the tip got one more source",
        "tips.merged": "lessons that were merged into a tip, which got a new wording",
        "tips.contradicting": "lessons that contradict a known tip",
        "tips.quarantined": "tips of this run that wait for a person's approval",
        "tips.removed": "tips that no trace backs any more",
        "tips_dropped": "tips that did not pass the checks, by [reason](../explanation/tips.md#checks)",
        "quarantined[].tip_id": "a tip that waits: `kaizen entities review` shows it",
        "quarantined[].content": "its text",
        "quarantined[].reason": "why it waits",
        "redacted": "secrets removed, by kind",
        "outcomes.asked": "traces of earlier runs of which was asked what is said of them now",
        "outcomes.updated": "those that are judged otherwise now",
        "annotated.done": "traces annotated in Phoenix (`--annotate`)",
        "annotated.failed": "those that could not be",
        "model.calls": "model calls of this run",
        "model.prompt_tokens": "tokens sent",
        "model.completion_tokens": "tokens received",
        "model.cost_usd": "what the calls cost by LiteLLM's table; null: it knows no price",
        "reading": "how much was listed: `nothing`, `recent`, `full`, or the `window` of --since and --until",
        "requests": "requests made to the source",
        "unread": "what the source left out because it cannot be read, by reason with an example: how often",
        "refusal": "why the model refuses every call, or was unavailable; empty where it was there",
        "started_at": "time, RFC 3339",
        "verdicts": "new verdicts on tips, each a commit of its own; `kaizen proof` shows them",
        "compared": "failed runs that a model was asked to compare with one of the same task that succeeded",
        "duration_s": "seconds the run took",
        "stopped": "whether it was stopped before the end",
    },
    "sync status": {
        "namespace": "the namespace",
        "checkpoints[].source": "`phoenix`",
        "checkpoints[].project": "a project that was synced",
        "checkpoints[].states": "its traces by state, without those that wait",
        "checkpoints[].deferred": "how many wait for the next sync",
        "checkpoints[].server_version": "of the server when it was last read",
        "checkpoints[].updated_at": "time, RFC 3339",
        "runs": "the last ten runs that had anything to do, oldest first, with the keys of `sync phoenix` "
        "but for the counts of all traces, and `state`: ended, running, or broke off (its process was "
        "killed; what it did is counted up to its last sign of life)",
        "failed[].project": "project of a trace that failed",
        "failed[].trace_id": "the trace",
        "failed[].attempts": "how often in a row by now",
        "failed[].reason": "why the last time",
    },
    "fleet status": {
        "backlog_traces": "traces that wait in slices of large projects",
        "backlog_minutes": "how long they take at the rate of the last ten minutes; null: none was done",
        "jobs_waiting": "jobs that wait or are being done",
        "traces_per_minute": "of the last ten minutes, all workers together",
        "calls_per_minute": "model calls likewise",
        "usd_today": "what model calls cost since 00:00 UTC, as far as prices are known",
        "usd_per_day": "the limit, or null",
        "limits": "limits a minute by what they are for: `model calls`, `requests to phoenix`",
        "schedules[].name": "a schedule",
        "schedules[].source": "`phoenix`",
        "schedules[].projects": "the projects that were named; empty: all",
        "schedules[].namespace": "where tips go; `{project}` stands for the project",
        "schedules[].every_s": "seconds between two rounds",
        "schedules[].next_at": "when the next round begins, RFC 3339",
        "schedules[].last_at": "when the last one began, or null",
        "workers[].host": "machine of a worker that gave a sign of life within a minute",
        "workers[].pid": "its process",
        "workers[].version": "its version of kaizen-sync",
        "workers[].jobs": "jobs that it is doing",
        "workers[].started_at": "time, RFC 3339",
        "workers[].seen_at": "time, RFC 3339",
        "projects[].source": "`phoenix`",
        "projects[].project": "a project that the fleet has synced",
        "projects[].namespace": "where its tips are",
        "projects[].backlog_traces": "its traces that wait in slices",
        "projects[].traces_today": "traces worked on since 00:00 UTC",
        "projects[].failed_today": "those that failed",
        "projects[].calls_today": "model calls for them",
        "projects[].usd_today": "what those cost",
        "projects[].failures": "how often in a row it could not be synced",
        "projects[].problem": "why, the last time; empty: it could",
        "projects[].retry_at": "until when it is left alone, or null",
    },
    "sync relearn": {
        "projects": "what `kaizen sync phoenix` reports, for each project that the store keeps traces of; "
        "all have the same `run_id`",
    },
    "sync retry": {"namespace": "the namespace", "retried": "ids of the traces that are tried again"},
    "entities list": {"namespace": "the namespace"}
    | {f"entities[].{key}": meaning for key, meaning in ENTITY.items()}
    | {"cursor": "give it to `--after` for more; null: that was all"},
    "entities show": ENTITY
    | {
        "evidence": "of a tip what backs it, the newest first: as `metadata.sources`, with `--all` all of it",
        "stale_tools[].source": "`phoenix`",
        "stale_tools[].project": "a project that the tip has evidence from",
        "stale_tools[].name": "a tool that has changed there since: the tip may be out of date",
        "stale_tools[].learned_under": "the versions of it that the tip was learned under, as hashes",
        "stale_tools[].newest": "the version that agents are offered now",
        "stale_tools[].since": "when the newest trace that offered it started, RFC 3339",
        "stale_tools[].trace_id": "that trace",
        "signature_history": "null for a tip without a signature",
        "signature_history.conversations": "how many conversations called the tool of the tip's signature",
        "signature_history.seen_in": "in how many of them the failed call was seen that the tip prevents",
        "signature_history.last_seen": "when the last of these started, RFC 3339; empty if there is none",
        "signature_history.trace_id": "its trace",
        "signature_history.since": "how many called the tool later",
    },
    "entities add": ENTITY,
    "tips edit": ENTITY,
    "tips retire": {
        "namespace": "the namespace",
        "retired": "ids of the retired tips",
        "commit_id": "id of the commit that did so",
    },
    "entities consolidate": {
        "namespace": "the namespace",
        "run_id": "id of this run; null: only planned",
        "commit_id": "the one commit that did it; null: only planned, or nothing to do",
        "merges[].id": "the tip that stands for several now",
        "merges[].content": "its wording",
        "merges[].support": "how many stories back it",
        "merges[].worded_by.model": "the model that worded it; `worded_by` is null: a tip's own words",
        "merges[].worded_by.prompt_version": "the prompt it was asked with",
        "merges[].merged[].id": "a tip that leads to it now",
        "merges[].merged[].content": "what that said",
        "kept_apart": "pairs that the model found to be no one lesson; they are not put to it again",
        "tips.before": "active tips before",
        "tips.after": "active tips after",
        "tokens.before": "tokens of all active tips before: content, trigger and steps",
        "tokens.after": "tokens of all active tips after",
        "tokens.counted_by": "`cl100k` (a tokenizer), or `characters` divided by four where none is loaded",
        "model.name": "the model",
        "model.questions": "clusters that were put to it, or would be",
        "model.unusable": "answers that were of no use; there the words decided",
        "model.prompt_tokens": "tokens sent; of a plan about",
        "model.completion_tokens": "tokens received; of a plan about",
        "model.cost_usd": "what that cost, or would; null: the price is not known",
    },
    "entities search": {
        "namespace": "the namespace",
        "query": "what was asked for",
        "hits[].score": "what the hits are ordered by; compares only within one search",
        "hits[].lexical": "score of the words; null: it shares none with the query",
        "hits[].dense": "cosine of the meanings; null: not known",
    }
    | {f"hits[].entity.{key}": meaning for key, meaning in ENTITY.items()},
    "entities history": {
        "namespace": "the namespace",
        "version": "how many commits it has seen",
        "entity_id": "the entity asked for, or null",
    }
    | {f"commits[].{key}": meaning for key, meaning in COMMIT.items()}
    | {
        "commits[].changes[].before": "only with an ID: the entity before; null: none",
        "commits[].changes[].after": "only with an ID: the entity after; null: none",
        "cursor": "give it to `--after` for more; null: these are the newest",
    },
    "entities revert": {
        "namespace": "the namespace",
        "dry_run": "whether nothing was done",
        "commit_id": "id of the commit that undid it; null: nothing was done",
        "version": "version of the namespace after it, or null",
        "changes[].entity_id": "an entity that is (or would be) as it was",
        "changes[].change": "what that took: `created`, `changed` or `deleted`",
        "given_up": "ids of entities that other commits changed since (`--force`)",
        "kept": "with `--run`: ids of entities that others changed since, which stay as they are",
    },
    "entities review": {"namespace": "the namespace"}
    | {f"quarantined[].{key}": meaning for key, meaning in ENTITY.items()}
    | {
        "quarantined[].reasons": "why it (still) waits; its newest evidence is `metadata.sources`",
        "approved": "ids of the tips that this command approved",
        "rejected": "ids of those that it rejected",
        "commit_id": "id of the commit that did so, or null",
    },
    "entities import": {
        "namespace": "the namespace",
        "commits": "new commits",
        "merged": "with `--merge`: entities that were put; else null",
        "version": "version of the namespace now",
        "entities": "how many entities it has now",
        "digest": "SHA-256 of the namespace with its history; null with `--merge`",
    },
    "entities delete": {"namespace": "the namespace", "deleted": "ids of the deleted entities"},
    "namespaces list": {f"namespaces[].{key}": meaning for key, meaning in NAMESPACE.items()},
    "namespaces create": NAMESPACE,
    "namespaces info": NAMESPACE
    | {
        "location": "where the store is",
        "entities": "entities by type",
        "tips": "tips by status",
        "traces": "traces by state",
    },
    "namespaces delete": {"id": "the namespace", "deleted_entities": "how many entities it had"},
    "store copy": {
        "namespaces[].namespace_id": "a namespace",
        "namespaces[].commits": "commits copied",
        "namespaces[].version": "version of the copy",
        "namespaces[].entities": "entities in the copy",
        "namespaces[].digest": "SHA-256 of the namespace with its history, the same in both stores",
    },
    "store reindex": {
        "namespace": "the namespace",
        "embedded": "how many entities were embedded",
    },
    "doctor": {
        "ok": "whether nothing failed",
        "checks[].name": "what was looked at",
        "checks[].status": "`ok`, `note` or `fail`",
        "checks[].detail": "what was seen",
        "checks[].advice": "what to do about it",
    },
    "recall": {
        "source": "where the tips are from",
        "error": "why the source cannot be read now, or empty",
        "is_from_disk": "whether the tips are from the copy on disk",
        "age_s": "seconds since the source was read",
        "namespace": "namespace of the tips, or null if there are none",
        "snapshot": "digest of the snapshot, or null",
        "tips": "how many it holds",
        "considered[].id": "a tip that fits",
        "considered[].revision": "its revision",
        "considered[].content": "its text",
        "considered[].tool": "tool whose description it goes into, or null for the instructions",
        "considered[].score": "how well it fits; 1 is one word that no other tip has",
        "considered[].words": "words it shares with the task and the instructions, by their stems",
        "considered[].support": "how many runs back it",
        "considered[].tokens": "what it adds to the prompt at most",
        "considered[].p": "share of the runs that it is held out from",
        "considered[].rejected": "why it is not shown, or null",
    },
}
# The short way prints the same.
for _name in ("list", "show", "search", "add", "review"):
    JSON_KEYS[f"tips {_name}"] = JSON_KEYS[f"entities {_name}"]


def commands() -> Iterator[tuple[str, Any]]:
    """All commands that do something, by the words that follow `kaizen`."""

    def walk(words: list[str], command: Any) -> Iterator[tuple[str, Any]]:
        if hasattr(command, "commands"):
            if getattr(command, "invoke_without_command", False) and words:
                yield " ".join(words), command
            for name, sub in command.commands.items():
                yield from walk([*words, name], sub)
        else:
            yield " ".join(words), command

    yield from walk([], typer.main.get_command(app))


def reference() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(_command(words, command) for words, command in commands())])


def _command(words: str, command: Any) -> str:
    parameters = [p for p in command.params if p.name != "help"]
    arguments = [p for p in parameters if p.param_type_name == "argument"]
    options = [p for p in parameters if p.param_type_name == "option"]
    usage = " ".join(["kaizen", words, *(a.metavar for a in arguments), "[OPTIONS]"])
    lines = [f"## kaizen {words}", "", f"    {usage}", "", command.help.strip(), ""]
    if arguments:
        lines += ["| argument | meaning |", "|---|---|"]
        lines += [f"| `{a.metavar}` | {_cell(a.help)} |" for a in arguments] + [""]
    lines += ["| option | default | environment | meaning |", "|---|---|---|---|"]
    lines += [_option(option) for option in options] + [""]
    if keys := JSON_KEYS.get(words):
        lines += ["| `--json` key | meaning |", "|---|---|"]
        lines += [f"| `{key}` | {meaning} |" for key, meaning in keys.items()] + [""]
    return "\n".join(lines)


def _option(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    meaning, settings = _split_help(option.help or "")
    default = settings.get("default", "")
    if not default and isinstance(option.show_default, str):
        default = option.show_default
    elif not default and not option.is_flag and option.default is not None:
        default = f"`{option.default}`"
    elif "default" in settings:
        default = f"`{default}`"
    variables = settings.get("env", "") or option.envvar or ""
    named = re.sub(r"\b([A-Z]+_[A-Z_]+)\b", r"`\1`", variables)
    return f"| {names} | {default} | {named} | {_cell(meaning)} |"


def _split_help(text: str) -> tuple[str, dict[str, str]]:
    """The help of an option, and what its `[env: ...; default: ...]` says."""
    found = re.search(r"\s*\[((?:env|default): .*)\]$", text)
    if found is None:
        return text, {}
    pairs = (part.partition(": ") for part in found[1].split("; "))
    return text[: found.start()], {name: value for name, _, value in pairs}


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    settings = settings_reference.TARGET
    pages = {
        TARGET: reference(),
        settings: settings_reference.settings_page(settings.read_text(encoding="utf-8")),
    }
    for path, text in pages.items():
        if not given.check:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} does not say what the code says: run `hatch run docs`")


if __name__ == "__main__":
    main()
