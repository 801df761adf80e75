"""From a finished span to the collector, whatever the collector does."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from kaizen.auto.configuration import Configuration, resolve
from kaizen.auto.options import Options
from kaizen.auto.pipeline import batch
from kaizen.auto.pipeline.batch import BatchQueue
from kaizen.auto.pipeline.export import HttpSender, Outcome, make_sender
from tests.auto.collector import Collector, closed_port
from tests.support.polling import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan


def configuration(url: str, **options: Any) -> Configuration:
    return resolve(Options(endpoint=url, **options))


def make_queue(sender: Any, **settings: Any) -> BatchQueue:
    return BatchQueue(sender, **{"queue_size": 100, "batch_size": 10, "delay_s": 0.02, **settings})


def end_spans(queue: BatchQueue, count: int, *, size: int = 0) -> None:
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(queue)
    for number in range(count):
        with provider.get_tracer("test").start_as_current_span(f"span {number}") as span:
            span.set_attribute("text", "x " * (size // 2))


class Recorder:
    """A sender that does as it is told."""

    def __init__(self, outcome: Outcome | None = None) -> None:
        self.outcome = outcome or Outcome(True)
        self.attempts = 0
        self.names: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def send(self, spans: Sequence[ReadableSpan]) -> Outcome:
        self.attempts += 1
        assert self.may_answer.wait(30)
        if self.outcome.delivered:
            self.names += [span.name for span in spans]
        return self.outcome

    def after_fork(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(batch, "LONGEST_PAUSE_S", 0.05)


def test_spans_leave_on_their_own_after_the_delay() -> None:
    recorder = Recorder()
    queue = make_queue(recorder)
    end_spans(queue, 3)
    wait_until(lambda: queue.sent == 3, what="the spans are sent")
    end_spans(queue, 1)
    wait_until(lambda: queue.sent == 4, what="the later span is sent")
    assert queue.queued == queue.dropped == queue.failed == 0
    queue.stop()


def test_a_full_batch_does_not_wait_for_the_delay() -> None:
    recorder = Recorder()
    queue = make_queue(recorder, delay_s=1000)
    end_spans(queue, 25)
    wait_until(lambda: queue.sent >= 20, what="the full batches are sent")
    assert queue.flush(30)
    assert recorder.names == [f"span {number}" for number in range(25)]
    queue.stop()


def test_the_oldest_are_dropped_and_counted_when_the_queue_is_full() -> None:
    recorder = Recorder()
    recorder.may_answer.clear()
    queue = make_queue(recorder, queue_size=5, batch_size=1)
    end_spans(queue, 1)
    wait_until(lambda: recorder.attempts == 1, what="the first span is in flight")
    end_spans(queue, 20)
    assert (queue.dropped, queue.queued) == (15, 6)
    recorder.may_answer.set()
    assert queue.flush(30)
    assert recorder.names == ["span 0", *(f"span {number}" for number in range(15, 20))]
    queue.stop()


def test_a_short_outage_loses_nothing_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(Outcome(False, may_retry=True, error="refused"))
    queue = make_queue(recorder)
    with caplog.at_level(logging.INFO, "kaizen.auto"):
        end_spans(queue, 25)
        wait_until(lambda: recorder.attempts >= 4, what="it keeps trying")
        recorder.outcome = Outcome(True)
        wait_until(lambda: queue.sent == 25, what="the spans are sent after all")
        wait_until(lambda: len(caplog.messages) == 2, what="the end of the outage is told")
    assert caplog.messages == [
        "Spans cannot be sent: refused. The agent goes on; trying later",
        "Spans are sent again; 0 were lost meanwhile",
    ]
    assert recorder.names == [f"span {number}" for number in range(25)]
    queue.stop()


def test_a_long_outage_loses_the_oldest_and_says_how_many(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(Outcome(False, may_retry=True, error="refused"))
    queue = make_queue(recorder, queue_size=10)
    end_spans(queue, 30)
    wait_until(lambda: queue.dropped == 20, what="the oldest are dropped")
    wait_until(lambda: len(caplog.messages) == 1, what="the outage is told")
    recorder.outcome = Outcome(True)
    wait_until(lambda: queue.sent == 10, what="the newest are sent")
    wait_until(lambda: len(caplog.messages) == 2, what="the end of the outage is told")
    assert caplog.messages[1] == "Spans are sent again; 20 were lost meanwhile"
    assert recorder.names[-1] == "span 29"
    queue.stop()


def test_what_the_collector_refuses_is_not_sent_again() -> None:
    recorder = Recorder(Outcome(False, may_retry=False, error="answered 400"))
    queue = make_queue(recorder)
    end_spans(queue, 3)
    wait_until(lambda: queue.failed == 3, what="the refusal is counted")
    assert (queue.queued, queue.last_error) == (0, "answered 400")
    queue.stop()


def test_a_sender_that_raises_costs_its_batch_only() -> None:
    class Broken(Recorder):
        def send(self, spans: Sequence[ReadableSpan]) -> Outcome:
            if self.attempts == 0:
                self.attempts = 1
                raise ZeroDivisionError("broken")
            return super().send(spans)

    recorder = Broken()
    queue = make_queue(recorder)
    end_spans(queue, 1)
    wait_until(lambda: queue.failed == 1, what="the failure is counted")
    assert queue.last_error == "ZeroDivisionError: broken"
    end_spans(queue, 1)
    wait_until(lambda: queue.sent == 1, what="the next span is sent")
    queue.stop()


def test_a_flush_waits_no_longer_than_it_may() -> None:
    recorder = Recorder()
    recorder.may_answer.clear()
    queue = make_queue(recorder)
    end_spans(queue, 1)
    before = time.monotonic()
    assert queue.flush(0.2) is False
    assert time.monotonic() - before < 10
    recorder.may_answer.set()
    assert queue.flush(30) is True
    queue.stop()


def test_without_a_thread_the_flush_sends_and_ending_spans_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    recorder = Recorder()
    queue = make_queue(recorder)
    end_spans(queue, 3)
    assert queue.flush(30)
    assert queue.sent == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_starts_empty_and_sends_its_own(collector: Collector) -> None:
    queue = make_queue(HttpSender(configuration(collector.url)), delay_s=1000)
    end_spans(queue, 2)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            assert queue.queued == 0
            end_spans(queue, 1)
            assert queue.flush(30)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert len(collector.spans) == 1
    assert queue.flush(30)
    assert len(collector.spans) == 3
    queue.stop()


@pytest.mark.parametrize(
    ("status", "again", "said"),
    [
        (401, False, "PHOENIX_API_KEY"),
        (404, False, "URL of a Phoenix server"),
        (413, False, "larger than the collector accepts"),
        (429, True, "429"),
        (500, True, "500"),
        (503, True, "503"),
    ],
)
def test_an_error_answer_says_whether_another_try_makes_sense(status: int, again: bool, said: str) -> None:
    with Collector(status=status) as collector:
        outcome = HttpSender(configuration(collector.url)).send(())
    assert (outcome.delivered, outcome.may_retry) == (False, again)
    assert said in outcome.error
    assert collector.url in outcome.error


def test_a_closed_port_a_silent_collector_and_an_unknown_host_fail_within_the_timeouts() -> None:
    with Collector(silent=True) as silent:
        for url in (f"http://127.0.0.1:{closed_port()}", silent.url, "http://nowhere.invalid:6006"):
            sender = HttpSender(configuration(url)._replace(read_timeout_s=0.1))
            outcome = sender.send(())
            assert (outcome.delivered, outcome.may_retry) == (False, True)


def test_a_batch_too_large_for_the_collector_is_halved() -> None:
    with Collector(largest_batch=3) as collector:
        queue = make_queue(HttpSender(configuration(collector.url)), batch_size=50, delay_s=1000)
        end_spans(queue, 10)
        assert queue.flush(30)
        assert sorted(len(export.spans) for export in collector.exports) == [2, 2, 3, 3]
        assert len(collector.spans) == 10
        queue.stop()


def test_a_batch_of_large_spans_is_sent_in_parts(collector: Collector) -> None:
    queue = make_queue(HttpSender(configuration(collector.url)), batch_size=50, delay_s=1000)
    end_spans(queue, 10, size=1_000_000)
    assert queue.flush(30)
    assert len(collector.exports) > 1
    assert len(collector.spans) == 10
    queue.stop()


def test_an_idle_connection_that_the_collector_closed_is_opened_again() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        sender = HttpSender(configuration(f"http://127.0.0.1:{server.getsockname()[1]}"))
        assert sender.send(()).delivered
        assert sender.send(()).delivered
        thread.join()
        sender._close()


def test_this_machine_is_never_reached_through_a_proxy(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    for host in ("127.0.0.1", "localhost"):
        assert HttpSender(configuration(f"http://{host}:{collector.port}")).send(()).delivered


def test_other_machines_are_reached_through_the_proxy(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", collector.url)
    assert HttpSender(configuration("http://phoenix.example:6006")).send(()).delivered
    assert [export.path for export in collector.exports] == ["http://phoenix.example:6006/v1/traces"]


def test_credentials_and_headers_go_with_every_export(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHOENIX_API_KEY", "secret")
    monkeypatch.setenv("PHOENIX_CLIENT_HEADERS", "x-team=agents%20one,x-room=1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    assert HttpSender(configuration(collector.url, headers={"X-Room": "2"})).send(()).delivered
    headers = collector.exports[0].headers
    assert headers["authorization"] == "Bearer secret"
    assert (headers["x-team"], headers["x-room"]) == ("agents one", "2")
    assert headers["content-encoding"] == "gzip"


def test_grpc_delivers_without_a_proxy_and_fails_within_its_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service

    received = []

    class Servicer(service.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:
            received.append((request, dict(context.invocation_metadata())))
            return messages.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(1))
    service.add_TraceServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    for name in ("grpc_proxy", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    sender = make_sender(configuration(f"http://127.0.0.1:{port}", protocol="grpc", api_key="secret"))
    queue = make_queue(sender)
    end_spans(queue, 2)
    assert queue.flush(30)
    queue.stop()
    server.stop(0).wait()
    request, metadata = received[0]
    assert len(request.resource_spans[0].scope_spans[0].spans) == 2
    assert metadata["authorization"] == "Bearer secret"
    outcome = sender.send(())
    assert (outcome.delivered, outcome.may_retry) == (False, True)
