"""A server that speaks as much of Phoenix's REST interface as a sync reads, for more traces than fit.

`python benchmarks/replayed_phoenix.py TRACES KIND` prints its URL on the first line. A real Phoenix takes in
some hundred spans a second, so that 100,000 take the better part of an hour. What it would answer is made up
here request by request: one span a trace, one second apart, of the kind given.
"""

from __future__ import annotations

import base64
import json
import sys
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

VERSION = "20.26.1"
PROJECT = "replayed"
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
    start = START + timedelta(seconds=number)
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


def trace(number: int, kind: str) -> dict[str, Any]:
    """The trace of that number as `/traces?include_spans=true` gives it."""
    whole = span(number, kind)
    times = {key: whole[key] for key in ("start_time", "end_time")}
    listed = {key: whole[key] for key in ("id", "parent_id", "span_kind", "status_code", "name")}
    return {
        "id": global_id("Trace", number + 1),
        "trace_id": whole["context"]["trace_id"],
        "project_id": global_id("Project", 1),
        "spans": [{**listed, "span_id": whole["context"]["span_id"], **times}],
        **times,
    }


def answer(path: str, query: dict[str, list[str]], traces: int, kind: str) -> dict[str, Any]:
    what = path.rpartition("/")[2]
    if what == "projects":
        return {"data": [{"id": global_id("Project", 1), "name": PROJECT}], "next_cursor": None}
    if what.endswith("_annotations"):
        return {"data": [], "next_cursor": None}
    limit = int(query["limit"][0])
    if "trace_id" in query:
        return {"data": [span(int(one, 16), kind) for one in query["trace_id"]], "next_cursor": None}
    first = int(query.get("cursor", ["0"])[0])
    end = min(first + limit, traces)
    cursor = str(end) if end < traces else None
    if what == "spans":
        # From the newest on.
        return {"data": [span(traces - 1 - n, kind) for n in range(first, end)], "next_cursor": cursor}
    return {"data": [trace(n, kind) for n in range(first, end)], "next_cursor": cursor}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        content = json.dumps(
            answer(parts.path, parse_qs(parts.query), int(sys.argv[1]), sys.argv[2])
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("x-phoenix-server-version", VERSION)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
