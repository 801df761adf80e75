"""A server that speaks as much of Phoenix's REST interface as a sync reads, for more traces than fit.

`python benchmarks/replayed_phoenix.py TRACES KIND [PROJECTS [PORT]]` prints its URL on the first line. A real
Phoenix takes in some hundred spans a second, so that 100,000 take the better part of an hour. What it would
answer is made up here request by request: one span a trace, one second apart, of the kind given. With several
projects each has so many traces.
"""

from __future__ import annotations

import base64
import json
import math
import sys
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERSION = "20.26.1"
PROJECT = "replayed"
PER_PROJECT = 10**9  # more traces than one has: their numbers, and so their ids, differ between projects
START = datetime(2026, 1, 1, tzinfo=UTC)
PADDING = "about the weather " * 20


def global_id(kind: str, row: int) -> str:
    return base64.b64encode(f"{kind}:{row}".encode()).decode()


def attributes(number: int, kind: str) -> dict[str, Any]:
    told = f"What is LESSON-word{number % 20} {PADDING}, {number}?"
    if kind != "LLM":
        return {"input.value": told}
    return {
        "llm.model_name": "gpt-4o",
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": told,
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.content": "It is sunny.",
    }


def span(number: int, kind: str) -> dict[str, Any]:
    """The span of the trace of that number as `/spans` gives it."""
    start = START + timedelta(seconds=number % PER_PROJECT)
    return {
        "id": global_id("Span", number + 1),
        "name": "ChatCompletion",
        "context": {"trace_id": f"{number:032x}", "span_id": f"{number:016x}"},
        "span_kind": kind,
        "parent_id": None,
        "start_time": start.isoformat(),
        "end_time": (start + timedelta(seconds=1)).isoformat(),
        "status_code": "OK",
        "status_message": "",
        "attributes": attributes(number, kind),
        "events": [],
    }


def project_name(number: int, projects: int) -> str:
    return PROJECT if projects == 1 else f"{PROJECT}-{number:04}"


def trace(number: int, kind: str) -> dict[str, Any]:
    """The trace of that number as `/traces?include_spans=true` gives it."""
    whole = span(number, kind)
    times = {key: whole[key] for key in ("start_time", "end_time")}
    listed = {key: whole[key] for key in ("id", "parent_id", "span_kind", "status_code", "name")}
    return {
        "id": global_id("Trace", number + 1),
        "trace_id": whole["context"]["trace_id"],
        "project_id": global_id("Project", number // PER_PROJECT + 1),
        "spans": [{**listed, "span_id": whole["context"]["span_id"], **times}],
        **times,
    }


def answer(
    path: str, query: dict[str, list[str]], traces: int, kind: str, projects: int = 1
) -> dict[str, Any]:
    what = path.rpartition("/")[2]
    if what == "requests":
        return {"requests": Handler.requests}
    if what == "projects":
        named = [
            {"id": global_id("Project", n + 1), "name": project_name(n, projects)} for n in range(projects)
        ]
        return page(named, query)
    if what.endswith("_annotations"):
        return {"data": [], "next_cursor": None}
    if "trace_id" in query:
        return {"data": [span(int(one, 16), kind) for one in query["trace_id"]], "next_cursor": None}
    project = int(base64.b64decode(path.split("/")[3]).decode().partition(":")[2]) - 1
    numbers = range(project * PER_PROJECT, project * PER_PROJECT + traces)
    if what == "spans":
        # From the newest on.
        return page(numbers[::-1], query, lambda n: span(n, kind))
    return page(between(numbers, query), query, lambda n: trace(n, kind))


def between(numbers: range, query: dict[str, list[str]]) -> range:
    """The numbers of the traces that start at `start_time` or later, and before `end_time`."""
    since, until = 0, len(numbers)
    if "start_time" in query:
        since = seconds_from_start(query["start_time"][0])
    if "end_time" in query:
        until = seconds_from_start(query["end_time"][0])
    return numbers[min(max(since, 0), len(numbers)) : min(max(until, 0), len(numbers))]


def seconds_from_start(time: str) -> int:
    return math.ceil((datetime.fromisoformat(time) - START).total_seconds())


def page(
    values: Sequence[Any], query: dict[str, list[str]], make: Callable[[Any], Any] = lambda value: value
) -> dict[str, Any]:
    first = int(query.get("cursor", ["0"])[0])
    end = first + int(query["limit"][0])
    cursor = str(end) if end < len(values) else None
    return {"data": [make(value) for value in values[first:end]], "next_cursor": cursor}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    requests = 0

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        Handler.requests += 1
        traces, kind, *more = int(sys.argv[1]), *sys.argv[2:]
        content = json.dumps(
            answer(parts.path, parse_qs(parts.query), traces, kind, int(more[0]) if more else 1)
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("x-phoenix-server-version", VERSION)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


def main() -> None:
    server = Server(("127.0.0.1", int(sys.argv[4]) if len(sys.argv) > 4 else 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
