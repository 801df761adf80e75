"""Where spans go: the arguments, then Kaizen's variables, then Phoenix's, then the defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaizen.auto.configuration import resolve
from kaizen.auto.options import Options

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
