"""Serve a scripted model over OpenAI's API on a loopback port, and fail on demand.

Run alone: ``python -m kaizen.demo.model_server --port 0`` prints its base URL on the first line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaizen.demo import wire
from kaizen.demo.conversation import Conversation, RequestError, from_chat, from_responses
from kaizen.demo.faults import NONSENSE, Fault, FaultQueue
from kaizen.demo.scenario import Answer, Scenarios, load_scenarios
from kaizen.demo.scripted_model import Reply, reply_to
from kaizen.demo.wire_chat import chat_chunks, chat_completion, given_completion
from kaizen.demo.wire_responses import response, response_events

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

__all__ = ["Fault", "ModelServer", "RecordedRequest", "Scenarios", "load_scenarios"]

READERS = {"/v1/chat/completions": from_chat, "/v1/responses": from_responses}


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request as it came in; ``at`` is on the machine's monotonic clock, in seconds.

    ``schema_name`` is the JSON schema asked for, in response_format or by its marker in the prompt.
    """

    path: str
    body: Any
    # They may hold a key.
    headers: dict[str, str] = field(repr=False)
    at: float
    schema_name: str | None


class ModelServer:
    """The scripted model over HTTP, in background threads.

    :param scenarios: what the model answers; the built-in scenarios by default.
    :param delay_s: how long each answer takes; may be changed while it runs.
    :param port: 0 takes a free one.
    :param record: a file that gets one JSON line for each request, without headers.
    """

    def __init__(
        self,
        *,
        scenarios: Scenarios | None = None,
        delay_s: float = 0.0,
        port: int = 0,
        record: Path | None = None,
    ) -> None:
        self.scenarios = load_scenarios() if scenarios is None else scenarios
        self.delay_s = delay_s
        self.faults = FaultQueue()
        self.stopping = threading.Event()
        self._requests: list[RecordedRequest] = []
        self._record = record
        self._lock = threading.Lock()
        self._port = port
        self._http: _HttpServer | None = None

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        if self._http is None:
            raise RuntimeError("the model server is not running: call start() or use it in a with statement")
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def requests(self) -> list[RecordedRequest]:
        """All requests so far, those that failed included."""
        with self._lock:
            return list(self._requests)

    def clear(self) -> None:
        """Forget the recorded requests."""
        with self._lock:
            self._requests.clear()

    def fail(self, fault: Fault, *, times: int | None = 1) -> None:
        """Let the next ``times`` requests that the fault is for go wrong; None: until ``heal()``."""
        self.faults.add(fault, times)

    def heal(self) -> None:
        """Let nothing more go wrong."""
        self.faults.clear()

    def start(self) -> ModelServer:
        self.stopping.clear()
        self._http = _HttpServer(self, self._port)
        threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, name="model-server", daemon=True
        ).start()
        return self

    def stop(self) -> None:
        """Stop answering, and close every connection that is still open."""
        if self._http is None:
            return
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._http.close_connections()
        self._http = None

    def __enter__(self) -> ModelServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def remember(self, request: RecordedRequest) -> None:
        with self._lock:
            self._requests.append(request)
            if self._record is not None:
                line = {"path": request.path, "body": request.body, "at": request.at}
                with self._record.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    # Syncs open many connections at once; by default 5 may wait.
    request_queue_size = 256

    def __init__(self, owner: ModelServer, port: int) -> None:
        self.owner = owner
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        with self._open_lock:
            for request in self._open:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # a client that goes away is its own affair
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # headers and body leave in one packet: two would wait 40 ms for each other's acknowledgement
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _HttpServer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the requests are recorded."""

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _serve(self, raw: bytes) -> None:
        owner, path = self.server.owner, self.path.partition("?")[0]
        at = time.monotonic()
        text = raw.decode("utf-8", "replace")
        body, conversation, refusal = _read(path, text)
        schema_name = conversation.schema_name if conversation else None
        headers = {name.lower(): value for name, value in self.headers.items()}
        owner.remember(RecordedRequest(path, body, headers, at, schema_name))
        fault = owner.faults.take(path, text, schema_name)
        delay_s = owner.delay_s + (fault.delay_s if fault and fault.kind == "slow" else 0.0)
        owner.stopping.wait(None if fault and fault.kind == "hang" else delay_s)
        if owner.stopping.is_set():
            self.close_connection = True
        elif fault and fault.kind == "status":
            default = wire.error_body(f"Scripted failure {fault.status}.", kind=_kind(fault.status))
            self._send_json(
                fault.status, default if fault.body is None else fault.body, headers=fault.headers
            )
        elif refusal:
            self._send_json(400, wire.error_body(refusal, kind="invalid_request_error"))
        else:
            self._answer(path, body, conversation, fault)

    def _answer(self, path: str, body: Any, conversation: Conversation | None, fault: Fault | None) -> None:
        kind = fault.kind if fault else None
        if fault and kind == "answer":
            self._send_json(200, given_completion(body, dict(fault.message), fault.finish_reason))
            return
        try:
            if conversation is None:
                self._send_json(*_resource(self.command, path, body), broken=kind)
                return
            reply = _reply(conversation, self.server.owner.scenarios, kind)
        except RequestError as exc:
            self._send_json(400, wire.error_body(str(exc), kind="invalid_request_error"))
            return
        chat = path.endswith("/chat/completions")
        if not body.get("stream"):
            whole = chat_completion(body, reply.answer) if chat else response(body, reply)
            self._send_json(200, whole, broken=kind, drip_s=fault.delay_s if fault else 0.0)
        elif chat:
            frames = [_frame(chunk) for chunk in chat_chunks(body, reply.answer)]
            self._send_stream([*frames, "data: [DONE]\n\n"], broken=kind)
        else:
            events = response_events(body, reply)
            self._send_stream([f"event: {e['type']}\n{_frame(e)}" for e in events], broken=kind)

    def _send_json(
        self,
        status: int,
        value: Any,
        *,
        headers: Any = None,
        broken: str | None = None,
        drip_s: float = 0.0,
    ) -> None:
        content = json.dumps(value).encode()
        if broken == "malformed":
            content = content[: len(content) // 2]
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, said in (headers or {}).items():
            self.send_header(name, said)
        self.end_headers()
        if broken == "drip":
            self._drip(content, drip_s)
        else:
            self.wfile.write(content[: len(content) // 2] if broken == "cut" else content)
        self._end(broken)

    def _drip(self, content: bytes, delay_s: float) -> None:
        for byte in content:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.owner.stopping.wait(delay_s):
                return

    def _send_stream(self, frames: Iterable[str], *, broken: str | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        frames = list(frames)
        if broken == "cut":
            frames = frames[: len(frames) // 2]
        elif broken == "malformed":
            frames = [frame[: len(frame) // 2] + "\n\n" for frame in frames]
        for frame in frames:
            content = frame.encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))
            self.wfile.flush()
        if broken != "cut":
            self.wfile.write(b"0\r\n\r\n")
        self._end(broken)

    def _end(self, broken: str | None) -> None:
        self.wfile.flush()
        if broken == "cut":
            self.close_connection = True


def _read(path: str, text: str) -> tuple[Any, Conversation | None, str | None]:
    """Return a request's JSON body and conversation, and why it is refused, or None."""
    try:
        body = json.loads(text) if text else None
        if path not in READERS:
            return body, None, None
        if not isinstance(body, dict):
            return body, None, "The request body must be a JSON object."
        return body, READERS[path](body), None
    except json.JSONDecodeError as exc:
        return None, None, f"We could not parse the JSON body of your request: {exc}"
    except RequestError as exc:
        return body, None, str(exc)
    except (AttributeError, KeyError, TypeError) as exc:
        return body, None, f"Invalid request: {exc!r}"


def _resource(command: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
    if command == "GET" and path == "/v1/models":
        return 200, wire.models()
    if command == "GET" and path.startswith("/v1/models/"):
        return 200, wire.model(path.removeprefix("/v1/models/"))
    if command == "POST" and path == "/v1/embeddings":
        return 200, wire.embeddings(body or {})
    message = f"Invalid URL ({command} {path})"
    return 404, wire.error_body(message, kind="invalid_request_error", code="unknown_url")


def _reply(conversation: Conversation, scenarios: Scenarios, kind: str | None) -> Reply:
    if kind in ("nonsense", "empty"):
        return Reply(Answer(NONSENSE if kind == "nonsense" else ""), kind, conversation.step + 1)
    return reply_to(conversation, scenarios)


def _kind(status: int) -> str:
    known = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    return known.get(status, "server_error" if status >= 500 else "invalid_request_error")


def _frame(value: object) -> str:
    return f"data: {json.dumps(value)}\n\n"


def main(argv: list[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m kaizen.demo.model_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="before each answer")
    parser.add_argument("--record", type=Path, metavar="FILE", help="append one JSON line for each request")
    parser.add_argument(
        "--scenarios", type=Path, metavar="PATH", help="a scenario file, or a directory of them"
    )
    options = parser.parse_args(argv)
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server = ModelServer(
        scenarios=load_scenarios(options.scenarios),
        delay_s=options.delay,
        port=options.port,
        record=options.record,
    )
    with server:
        sys.stdout.write(server.base_url + "\n")
        sys.stdout.flush()
        stopped.wait()


if __name__ == "__main__":
    main()
