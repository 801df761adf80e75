"""Servers that play MLflow and Langfuse, as far as the sources ask them."""

from __future__ import annotations

import base64
import json
import re
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support.quiet_server import QuietHandler, QuietServer
from tests.support.written import otlp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kaizen.sync.model import Span


class Asked(NamedTuple):
    path: str
    query: list[tuple[str, str]]
    body: dict[str, Any]
    authorization: str

    def get(self, name: str, default: str = "") -> str:
        return dict(self.query).get(name, default)


class PlayedServer:
    """Answers in JSON on a port of its own. `authorization` is asked for where it is set."""

    def __init__(self) -> None:
        self.spans: dict[str, dict[str, Span]] = {}
        self.said: dict[str, list[dict[str, Any]]] = {}
        self.authorization = ""
        self.asked: list[Asked] = []
        self._http = QuietServer(self, _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Any:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def put(self, spans: Iterable[Span]) -> None:
        for span in spans:
            # A span sent twice keeps its first version.
            self.spans.setdefault(span.trace_id, {}).setdefault(span.span_id, span)

    def remove(self, trace_ids: Iterable[str]) -> None:
        for trace_id in trace_ids:
            del self.spans[trace_id]

    def answer(self, asked: Asked) -> tuple[int, Any]:
        self.asked.append(asked)
        if self.authorization and asked.authorization != self.authorization:
            return 401, {"message": "You are not authenticated"}
        return self.reply(asked)

    def reply(self, asked: Asked) -> tuple[int, Any]:
        raise NotImplementedError

    def sorted_traces(self, since: Any, until: Any) -> list[str]:
        """The ids of the traces that started in that time in milliseconds, oldest first."""
        starts = {trace_id: start_ms(spans.values()) for trace_id, spans in self.spans.items()}
        found = [i for i, at in starts.items() if (not since or at >= since) and (not until or at < until)]
        return sorted(found, key=lambda trace_id: (starts[trace_id], trace_id))


def start_ms(spans: Iterable[Span]) -> int:
    return int(min(span.start_time for span in spans).timestamp() * 1000)


def end_ms(spans: Iterable[Span]) -> int:
    return int(max(span.end_time for span in spans).timestamp() * 1000)


def iso(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000).astimezone().isoformat(timespec='milliseconds')}"


class PlayedMlflow(PlayedServer):
    """One experiment, `p`, in the shapes that MLflow 3.17.2 answered with."""

    page = 500

    def reply(self, asked: Asked) -> tuple[int, Any]:
        known = {
            "/api/2.0/mlflow/experiments/search": self._experiments,
            "/api/3.0/mlflow/traces/search": self._search,
            "/api/3.0/mlflow/traces/batchGet": self._batch,
            "/api/3.0/mlflow/traces/metrics": self._metrics,
        }
        return (200, known[asked.path](asked)) if asked.path in known else (404, {"message": "Not Found"})

    def _experiments(self, _: Asked) -> Any:
        return {
            "experiments": [{"experiment_id": "7", "name": "p"}, {"experiment_id": "0", "name": "Default"}]
        }

    def _search(self, asked: Asked) -> Any:
        assert asked.body["locations"][0]["mlflow_experiment"] == {"experiment_id": "7"}
        where, size = asked.body["filter"], min(asked.body["max_results"], self.page)
        since, until = (re.search(rf"timestamp_ms {sign} (\d+)", where) for sign in (">=", "<"))
        found = self.sorted_traces(since and int(since[1]), until and int(until[1]))
        if "request_id IN" in where:
            found = [trace_id for trace_id in found if f"'tr-{trace_id}'" in where]
        if asked.body["order_by"] == ["timestamp_ms DESC"]:
            found.reverse()
        offset = int(asked.body.get("page_token") or 0)
        page = found[offset : offset + size]
        answer: dict[str, Any] = {"traces": [self._info(trace_id) for trace_id in page]} if page else {}
        # A page that is full has a token, even if nothing follows.
        return answer | ({"next_page_token": str(offset + size)} if len(page) == size else {})

    def _batch(self, asked: Asked) -> Any:
        ids = [value.removeprefix("tr-") for name, value in asked.query if name == "trace_ids"]
        traces = [
            {"trace_info": self._info(i), "spans": [_proto(span) for span in self.spans[i].values()]}
            for i in ids
            if i in self.spans
        ]
        return {"traces": traces} if traces else {}

    def _metrics(self, asked: Asked) -> Any:
        found = self.sorted_traces(asked.body["start_time_ms"], asked.body["end_time_ms"] + 1)
        count = sum(len(self.spans[trace_id]) for trace_id in found)
        return (
            {"data_points": [{"metric_name": "span_count", "values": {"COUNT": float(count)}}]}
            if count
            else {}
        )

    def _info(self, trace_id: str) -> dict[str, Any]:
        spans = list(self.spans[trace_id].values())
        said = self.said.get(trace_id)
        return {
            "trace_id": f"tr-{trace_id}",
            "request_time": iso(start_ms(spans)),
            "execution_duration": f"{(end_ms(spans) - start_ms(spans)) / 1000:g}s",
            "state": "OK",
            "tags": {"mlflow.trace.spansLocation": "TRACKING_STORE"},
            **({"assessments": said} if said else {}),
        }


def _proto(span: Span) -> dict[str, Any]:
    """A span in JSON with the names of its Protobuf, as MLflow writes it."""
    value = otlp(span)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    ids = {name: value.get(name) for name in ("traceId", "spanId", "parentSpanId") if value.get(name)}
    value |= {name: base64.b64encode(bytes.fromhex(text)).decode() for name, text in ids.items()}
    value["status"] = {"code": f"STATUS_CODE_{span.status}", "message": span.status_message}
    value |= {name: int(value[name]) for name in ("startTimeUnixNano", "endTimeUnixNano")}
    snake: dict[str, Any] = _snake(value)
    return snake


def _snake(value: Any) -> Any:
    if isinstance(value, list):
        return [_snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        re.sub(r"([A-Z])", lambda m: f"_{m[1].lower()}", key): _snake(item) for key, item in value.items()
    }


class PlayedLangfuse(PlayedServer):
    """One project, as the documents of Langfuse's public API have it."""

    page = 100

    def __init__(self) -> None:
        super().__init__()
        self.traces: dict[str, dict[str, Any]] = {}
        self.observations: dict[str, dict[str, Any]] = {}

    def reply(self, asked: Asked) -> tuple[int, Any]:
        if asked.path == "/api/public/traces":
            return 200, self._list(asked, self._found(asked), self._listed)
        if asked.path.startswith("/api/public/traces/"):
            trace_id = unquote(asked.path.rpartition("/")[2])
            return (200, self._whole(trace_id)) if trace_id in self.spans else (404, {"error": "not found"})
        if asked.path == "/api/public/observations":
            every = [span for spans in self.spans.values() for span in spans.values()]
            return 200, self._list(asked, every, self._observation)
        if asked.path == "/api/public/v2/scores":
            return 200, self._list(asked, self._scores(asked), lambda score: score)
        return 404, {"error": "not found"}

    def _found(self, asked: Asked) -> Sequence[str]:
        limits = [asked.get(name) for name in ("fromTimestamp", "toTimestamp")]
        since, until = [
            int(datetime.fromisoformat(limit).timestamp() * 1000) if limit else None for limit in limits
        ]
        found = self.sorted_traces(since, until)
        return found[::-1] if asked.get("orderBy") == "timestamp.desc" else found

    def _list(self, asked: Asked, found: Sequence[Any], shown: Any) -> Any:
        limit, page = min(int(asked.get("limit", "50")), self.page), int(asked.get("page", "1"))
        return {
            "data": [shown(one) for one in found[(page - 1) * limit : page * limit]],
            "meta": {
                "page": page,
                "limit": limit,
                "totalItems": len(found),
                "totalPages": -(-len(found) // limit),
            },
        }

    def _trace(self, trace_id: str) -> dict[str, Any]:
        spans = self.spans[trace_id].values()
        return {
            "id": trace_id,
            "timestamp": iso(start_ms(spans)),
            "name": "agent",
            "latency": (end_ms(spans) - start_ms(spans)) / 1000,
            "sessionId": None,
            "htmlPath": f"/project/x/traces/{trace_id}",
            "scores": [],
            **self.traces.get(trace_id, {}),
        }

    def _listed(self, trace_id: str) -> Any:
        return {**self._trace(trace_id), "observations": list(self.spans[trace_id])}

    def _whole(self, trace_id: str) -> Any:
        observations = [self._observation(span) for span in self.spans[trace_id].values()]
        return {**self._trace(trace_id), "observations": observations}

    def _observation(self, span: Span) -> dict[str, Any]:
        kinds = {"LLM": "GENERATION", "CHAIN": "SPAN", "UNKNOWN": "SPAN"}
        return {
            "id": span.span_id,
            "traceId": span.trace_id,
            "type": kinds.get(span.kind, span.kind),
            "name": span.name,
            "startTime": iso(start_ms([span])),
            "endTime": iso(end_ms([span])),
            "parentObservationId": span.parent_id,
            "level": "ERROR" if span.status == "ERROR" else "DEFAULT",
            "statusMessage": span.status_message or None,
            "metadata": {"attributes": dict(span.attributes), "scope": {"name": "openinference"}},
            **self.observations.get(span.span_id, {}),
        }

    def _scores(self, asked: Asked) -> list[Any]:
        scores = [score for scores in self.said.values() for score in scores]
        for name in ("traceId", "sessionId"):
            if asked.get(name):
                scores = [score for score in scores if score.get(name) == asked.get(name)]
        if asked.get("observationId"):
            wanted = asked.get("observationId").split(",")
            scores = [score for score in scores if score.get("observationId") in wanted]
        return scores


class _Handler(QuietHandler):
    server: QuietServer[PlayedServer]

    def do_POST(self) -> None:
        self._reply(json.loads(self.rfile.read(int(self.headers["content-length"]))))

    def do_GET(self) -> None:
        self._reply({})

    def _reply(self, body: Mapping[str, Any]) -> None:
        parts = urlsplit(self.path)
        asked = Asked(parts.path, parse_qsl(parts.query), dict(body), self.headers.get("authorization", ""))
        status, value = self.server.owner.answer(asked)
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
