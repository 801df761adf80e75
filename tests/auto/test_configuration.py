"""Where spans go: the arguments, then Kaizen's variables, then Phoenix's, then the defaults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kaizen.auto import status
from kaizen.auto.configuration import resolve
from kaizen.auto.options import Options
from kaizen.auto.pipeline.fitting import Limits

if TYPE_CHECKING:
    from tests.auto.conftest import RunAgent

DEFAULT = "http://localhost:6006/v1/traces"


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({}, DEFAULT),
        ({"KAIZEN_TRACING_ENDPOINT": "http://phoenix:6006"}, "http://phoenix:6006/v1/traces"),
        ({"KAIZEN_TRACING_ENDPOINT": "http://phoenix:6006/"}, "http://phoenix:6006/v1/traces"),
        ({"KAIZEN_TRACING_ENDPOINT": "http://phoenix:6006/v1/traces"}, "http://phoenix:6006/v1/traces"),
        ({"KAIZEN_TRACING_ENDPOINT": "https://host/base/"}, "https://host/base/v1/traces"),
        ({"KAIZEN_TRACING_ENDPOINT": "phoenix:6006"}, "http://phoenix:6006/v1/traces"),
        ({"KAIZEN_TRACING_ENDPOINT": "ftp://phoenix"}, DEFAULT),
        ({"KAIZEN_TRACING_ENDPOINT": "http://phoenix:many"}, DEFAULT),
        ({"PHOENIX_COLLECTOR_ENDPOINT": "http://phoenix:6006"}, "http://phoenix:6006/v1/traces"),
        (
            {"PHOENIX_COLLECTOR_ENDPOINT": "https://app.phoenix.arize.com/s/team"},
            "https://app.phoenix.arize.com/s/team/v1/traces",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, "http://collector:4318/v1/traces"),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"},
            "http://collector:4318/v1/traces",
        ),
        (
            {"KAIZEN_TRACING_ENDPOINT": "http://ours:1", "PHOENIX_COLLECTOR_ENDPOINT": "http://theirs:2"},
            "http://ours:1/v1/traces",
        ),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http://localhost:4317"),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "PHOENIX_COLLECTOR_ENDPOINT": "http://phoenix:6006"},
            "http://phoenix:4317",
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc", "KAIZEN_TRACING_ENDPOINT": "http://phoenix:9"},
            "http://phoenix:9",
        ),
    ],
)
def test_the_endpoint(environment: dict[str, str], endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    configuration = resolve(Options())
    assert configuration.endpoint == endpoint
    assert configuration.protocol == ("grpc" if "grpc" in environment.values() else "http/protobuf")


@pytest.mark.parametrize(
    ("environment", "project"),
    [
        ({}, "kaizen-agent"),
        ({"PHOENIX_PROJECT_NAME": "theirs"}, "theirs"),
        ({"PHOENIX_PROJECT": "canonical", "PHOENIX_PROJECT_NAME": "canonical"}, "canonical"),
        ({"KAIZEN_TRACING_PROJECT": "ours", "PHOENIX_PROJECT_NAME": "theirs"}, "ours"),
        ({"KAIZEN_TRACING_PROJECT": " "}, "kaizen-agent"),
    ],
)
def test_the_project(environment: dict[str, str], project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert resolve(Options()).project == project
    assert resolve(Options(project="argument")).project == "argument"


def test_the_file_that_phoenix_hands_credentials_over_in_is_read() -> None:
    Path(".env.phoenix").write_text(
        "PHOENIX_COLLECTOR_ENDPOINT=http://filed:6006\nPHOENIX_API_KEY=from-file\nPHOENIX_PROJECT_NAME=filed\n"
    )
    Path(".env.phoenix").chmod(0o600)
    configuration = resolve(Options())
    assert configuration.endpoint == "http://filed:6006/v1/traces"
    assert configuration.headers == {"authorization": "Bearer from-file"}
    assert configuration.project == "filed"


@pytest.mark.parametrize("value", ["abc", "-1", "nan", "inf", ""])
def test_a_number_that_makes_no_sense_is_replaced(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIZEN_TRACING_EXIT_TIMEOUT", value)
    assert resolve(Options()).exit_timeout_s == 2.0


@pytest.mark.parametrize(
    ("value", "collapse"), [("", True), ("true", True), ("false", False), ("0", False), ("perhaps", True)]
)
def test_collapsing_is_on_unless_switched_off(
    value: str, collapse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAIZEN_TRACING_COLLAPSE", value)
    assert resolve(Options()).collapse is collapse
    assert resolve(Options(collapse=False)).collapse is False


SECRET = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20theirs"}


@pytest.mark.parametrize(
    ("environment", "are_sent"),
    [
        ({"KAIZEN_TRACING_ENDPOINT": "http://ours:6006"}, False),
        (
            {"KAIZEN_TRACING_ENDPOINT": "http://ours:6006", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://theirs"},
            False,
        ),
        (
            {"PHOENIX_COLLECTOR_ENDPOINT": "http://ours", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://theirs"},
            False,
        ),
        (
            {
                "KAIZEN_TRACING_ENDPOINT": "http://ours",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://ours",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://theirs/v1/traces",
            },
            False,
        ),
        ({"KAIZEN_TRACING_ENDPOINT": "http://ours:6006", "OTEL_EXPORTER_OTLP_ENDPOINT": "ours:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://theirs"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://theirs/v1/traces"}, True),
        ({"KAIZEN_TRACING_ENDPOINT": "http://127.0.0.1:6006"}, True),
        ({}, True),
    ],
)
def test_headers_of_opentelemetry_go_to_the_host_that_they_are_meant_for(
    environment: dict[str, str], are_sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**SECRET, **environment}.items():
        monkeypatch.setenv(name, value)
    headers = {"authorization": "Bearer theirs"} if are_sent else {}
    assert resolve(Options()).headers == headers
    unused = () if are_sent else ("OTEL_EXPORTER_OTLP_HEADERS",)
    assert status().unused_headers == unused


def test_headers_of_kaizen_s_own_settings_are_sent_wherever_they_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=theirs")
    monkeypatch.setenv("PHOENIX_API_KEY", "ours")
    monkeypatch.setenv("PHOENIX_CLIENT_HEADERS", "x-team=one")
    configuration = resolve(Options(endpoint="https://ours", headers={"X-Room": "2"}))
    assert configuration.headers == {"authorization": "Bearer ours", "x-team": "one", "x-room": "2"}


def test_a_setting_that_makes_no_sense_is_warned_of_once(run_agent: RunAgent) -> None:
    ended = run_agent(
        """
        import kaizen.auto
        kaizen.auto.status()
        with kaizen.auto.agent_run("run"): pass
        kaizen.auto.status()
        kaizen.auto.disable_tracing()
        kaizen.auto.enable_tracing()
        with kaizen.auto.agent_run("run"): pass
        """,
        OTEL_BSP_SCHEDULE_DELAY="soon",
        OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT="long",
    )
    assert ended.returncode == 0
    assert sorted(ended.stderr.splitlines()) == [
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT=long is not a number that makes sense; 0 is used.",
        "OTEL_BSP_SCHEDULE_DELAY=soon is not a number that makes sense; 1000.0 is used.",
    ]


def test_limits_of_spans_come_before_general_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_ATTRIBUTE_COUNT_LIMIT", "7")
    monkeypatch.setenv("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "8")
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "9")
    monkeypatch.setenv("OPENINFERENCE_BASE64_IMAGE_MAX_LENGTH", "10")
    assert resolve(Options()).limits == Limits(base64_length=10, text_length=9, attribute_count=7)
