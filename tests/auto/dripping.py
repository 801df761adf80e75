"""A model over HTTP that answers in pieces, waits half way for the caller, and fails in every way there is.

The request says how it is answered, in its header `x-how`, as words: `gate` sends the first piece and then
waits for a GET of `/go` (2 s at most) before the rest; `cut` breaks off half way; `stall` stops half way
until the caller has gone; `hang` never answers; `fail` answers 400; `error` sends an error event half way;
`gzip` compresses; `json` answers with JSON; `surrogate` answers with half a character.
"""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

WORDS = ("The ", "answer ", "is ", "forty", "-two", ".")
ANSWER = "".join(WORDS)
GATE_S = 2.0
USAGE = {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9}
RESPONSES_USAGE = {
    "input_tokens": 3,
    "output_tokens": 6,
    "total_tokens": 9,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}


class DrippingServer:
    """Answers like a model, piece by piece, on a free loopback port."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        self.stopping = threading.Event()
        self.gate = threading.Event()
        self.opened = False
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> DrippingServer:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: DrippingServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that goes away is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        owner = self.server.owner
        if self.path == "/v1/go":
            owner.gate.set()
        # `/v1/gate` says whether the caller opened it in time.
        content = json.dumps(owner.opened).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        owner = self.server.owner
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not self.path.endswith("/ingest"):
            owner.bodies.append((self.path, body))
        request = json.loads(body)
        how = self.headers.get("x-how", "").split()
        if "hang" in how:
            self._until_the_caller_goes()
            return
        if "fail" in how:
            self._send_failure()
            return
        streamed = bool(request.get("stream"))
        pieces = list(stream_of(self.path, how) if streamed else whole_of(self.path, how))
        if "gzip" in how:
            pieces = split(gzip.compress(b"".join(pieces)))
        if "gate" in how:
            owner.gate.clear()
            owner.opened = False
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if streamed else "application/json")
        self.send_header("transfer-encoding", "chunked")
        if "gzip" in how:
            self.send_header("content-encoding", "gzip")
        self.end_headers()
        self._send(pieces, how)

    def _send(self, pieces: list[bytes], how: list[str]) -> None:
        owner = self.server.owner
        for number, piece in enumerate(pieces):
            if number == 1 and "gate" in how:
                owner.opened = owner.gate.wait(GATE_S)
            if number == len(pieces) // 2 and "cut" in how:
                self.close_connection = True
                return
            if number == len(pieces) // 2 and "stall" in how:
                self._until_the_caller_goes()
                return
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _send_failure(self) -> None:
        content = json.dumps(
            {"error": {"message": "no such model", "type": "invalid_request_error"}}
        ).encode()
        self.send_response(400)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _until_the_caller_goes(self) -> None:
        self.close_connection = True
        self.connection.settimeout(0.05)
        while not self.server.owner.stopping.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue


def split(content: bytes, count: int = 6) -> list[bytes]:
    size = -(-len(content) // count)
    return [content[at : at + size] for at in range(0, len(content), size)]


def whole_of(path: str, how: list[str]) -> Iterator[bytes]:
    """The answer to a request without `stream`, in pieces."""
    if path.endswith("/embeddings"):
        body: dict[str, Any] = {
            "object": "list",
            "model": "text-embedding-3-small",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
            "usage": {"prompt_tokens": 3, "total_tokens": 3},
        }
    elif path.endswith("/responses"):
        body = response("completed", how)
    elif path.endswith("/chat/completions"):
        body = {**chat("chat.completion"), "usage": USAGE}
        message = {"role": "assistant", "content": text(how)}
        body["choices"] = [{"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}]
    else:
        body = {**chat("text_completion"), "usage": USAGE}
        body["choices"] = [{"index": 0, "finish_reason": "stop", "text": text(how), "logprobs": None}]
    return iter(split(json.dumps(body).encode()))


def stream_of(path: str, how: list[str]) -> Iterator[bytes]:
    """The answer to a request with `stream`, an event a piece."""
    words = WORDS if "surrogate" not in how else (*WORDS, "\ud83d")
    if path.endswith("/responses"):
        for event in response_events(words, how):
            yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
        return
    is_chat = path.endswith("/chat/completions")
    for number, word in enumerate(words):
        if number == len(words) // 2 and "error" in how:
            yield b'data: {"error": {"message": "overloaded", "type": "server_error"}}\n\n'
            return
        content: dict[str, Any] = (
            {"delta": {"role": "assistant", "content": word}} if is_chat else {"text": word}
        )
        chunk = chat("chat.completion.chunk" if is_chat else "text_completion")
        yield frame({**chunk, "choices": [{"index": 0, "finish_reason": None, "logprobs": None, **content}]})
    last = {"delta": {}} if is_chat else {"text": ""}
    chunk = chat("chat.completion.chunk" if is_chat else "text_completion")
    yield frame({**chunk, "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None, **last}]})
    yield frame({**chunk, "choices": [], "usage": USAGE})
    yield b"data: [DONE]\n\n"


def frame(value: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def text(how: list[str]) -> str:
    return '{"answer": 42}' if "json" in how else ANSWER + ("\ud83d" if "surrogate" in how else "")


def chat(kind: str) -> dict[str, Any]:
    return {"id": "call-1", "object": kind, "created": 1, "model": "gpt-4o-mini"}


def response(status: str, how: list[str]) -> dict[str, Any]:
    part = {"type": "output_text", "text": text(how), "annotations": [], "logprobs": []}
    message = {"id": "m-1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    return {
        "id": "r-1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": "gpt-4o-mini",
        "output": [message] if status == "completed" else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "usage": RESPONSES_USAGE if status == "completed" else None,
    }


def response_events(words: tuple[str, ...], how: list[str]) -> Iterator[dict[str, Any]]:
    """The events of a streamed response, numbered as the API numbers them."""
    item = {"id": "m-1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    place = {"item_id": "m-1", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": response("in_progress", how)},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": part},
    ]
    for number, word in enumerate(words):
        if number == len(words) // 2 and "error" in how:
            events.append({"type": "error", "message": "overloaded", "code": "server_error", "param": None})
            break
        events.append({"type": "response.output_text.delta", **place, "delta": word, "logprobs": []})
    else:
        whole = response("completed", how)
        done = whole["output"][0]
        events += [
            {"type": "response.output_text.done", **place, "text": text(how), "logprobs": []},
            {"type": "response.content_part.done", **place, "part": done["content"][0]},
            {"type": "response.output_item.done", "output_index": 0, "item": done},
            {"type": "response.completed", "response": whole},
        ]
    yield from ({**event, "sequence_number": number} for number, event in enumerate(events))
