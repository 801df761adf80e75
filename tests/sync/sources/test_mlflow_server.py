"""The source for MLflow on a real server, where KAIZEN_TEST_MLFLOW names its executable."""

from __future__ import annotations

import base64
import os
import secrets
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kaizen.sync.sources.mlflow import source as mlflow_source
from kaizen.sync.sources.mlflow.settings import MlflowSettings
from kaizen.sync.sources.mlflow.source import MlflowSource
from kaizen.sync.testing import SourceContract
from tests.support.polling import wait_until
from tests.support.written import otlp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from kaizen.sync.model import Span
    from kaizen.sync.sources.base import Source

_MLFLOW = os.environ.get("KAIZEN_TEST_MLFLOW", "")

pytestmark = pytest.mark.skipif(not _MLFLOW, reason="KAIZEN_TEST_MLFLOW names no `mlflow` executable")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--workers", "1"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([_MLFLOW, "server", *options], cwd=folder, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: _answers(address), what="MLflow", timeout_s=180)
            yield address
        finally:
            server.terminate()
            server.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/version").is_success
    except httpx.TransportError:
        return False


def post(url: str, path: str, body: Any) -> Any:
    return httpx.post(f"{url}{path}", json=body, timeout=60).raise_for_status().json()


def send(url: str, experiment_id: str, spans: Sequence[Span]) -> None:
    """Send spans by OTLP, which MLflow takes in Protobuf alone."""
    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = otlp(*spans)
    for span in request["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for name in ("traceId", "spanId", "parentSpanId"):
            if name in span:
                span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    content = ParseDict(request, ExportTraceServiceRequest()).SerializeToString()
    headers = {"content-type": "application/x-protobuf", "x-mlflow-experiment-id": experiment_id}
    httpx.post(f"{url}/v1/traces", content=content, headers=headers, timeout=60).raise_for_status()


class TestMlflowServer(SourceContract):
    many = 11

    @pytest.fixture
    def source(self, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowSource]:
        monkeypatch.setattr(mlflow_source, "_PAGE", 5)
        name = secrets.token_hex(8)
        self.experiment_id = post(url, "/api/2.0/mlflow/experiments/create", {"name": name})["experiment_id"]
        settings = MlflowSettings(base_url=url, project=name, cache_dir=str(tmp_path))
        with MlflowSource(settings) as source:
            yield source

    @pytest.fixture
    def refused(self, url: str, tmp_path: Path) -> MlflowSource:
        return MlflowSource(MlflowSettings(base_url=url, project="nowhere", cache_dir=str(tmp_path)))

    def put(self, source: Source, spans: Sequence[Span]) -> None:
        assert isinstance(source, MlflowSource)
        by_trace: dict[str, list[Span]] = {}
        for span in spans:
            by_trace.setdefault(span.trace_id, []).append(span)
        for of_trace in by_trace.values():
            send(source.url, self.experiment_id, of_trace)

    def remove(self, source: Source, trace_ids: Sequence[str]) -> None:
        assert isinstance(source, MlflowSource)
        body = {
            "experiment_id": self.experiment_id,
            "request_ids": [f"tr-{trace_id}" for trace_id in trace_ids],
        }
        deleted = post(source.url, "/api/3.0/mlflow/traces/delete-traces", body)
        assert deleted == {"traces_deleted": len(trace_ids)}
