"""Where spans go and how: the arguments, then the environment, then the defaults."""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from kaizen.auto.pipeline.fitting import Limits

if TYPE_CHECKING:
    from types import ModuleType

    from kaizen.auto.options import Options

logger = logging.getLogger("kaizen.auto")

DEFAULT_PROJECT = "kaizen-agent"
DEFAULT_ENDPOINT = "http://localhost:6006"
TRACES_PATH = "/v1/traces"
OTEL_ENDPOINT = "http://localhost:4318"
OTEL_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")


class Configuration(NamedTuple):
    """Hold the settings of the provider and the export, resolved."""

    project: str
    endpoint: str
    protocol: str
    headers: dict[str, str]
    certificate: str | None
    gzip: bool
    collapse: bool
    connect_timeout_s: float
    read_timeout_s: float
    exit_timeout_s: float
    delay_s: float
    queue_size: int
    batch_size: int
    limits: Limits

    @property
    def is_local(self) -> bool:
        return is_loopback(urlsplit(self.endpoint).hostname or "")


def resolve(options: Options) -> Configuration:
    """Read the settings now; warn of values that make no sense and use the defaults for them."""
    phoenix = _phoenix_settings()
    protocol = _protocol(options.protocol)
    endpoint = _endpoint(options.endpoint, phoenix, protocol)
    queue_size = max(1, int(_number("OTEL_BSP_MAX_QUEUE_SIZE", 2048)))
    return Configuration(
        project=options.project or _project(phoenix),
        endpoint=endpoint,
        protocol=protocol,
        headers=_headers(options, phoenix, endpoint),
        certificate=_first("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE") or None,
        gzip=_first("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION") == "gzip",
        collapse=_boolean("KAIZEN_TRACING_COLLAPSE", True) if options.collapse is None else options.collapse,
        connect_timeout_s=0.5 if is_loopback(urlsplit(endpoint).hostname or "") else 2.0,
        read_timeout_s=2.0,
        exit_timeout_s=_number("KAIZEN_TRACING_EXIT_TIMEOUT", 2.0),
        delay_s=max(0.01, _number("OTEL_BSP_SCHEDULE_DELAY", 1000.0) / 1000),
        queue_size=queue_size,
        batch_size=min(queue_size, max(1, int(_number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 256)))),
        limits=Limits(
            base64_length=int(_number("OPENINFERENCE_BASE64_IMAGE_MAX_LENGTH", 32_000)),
            text_length=_limit("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
            attribute_count=_limit("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
        ),
    )


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.endswith(".localhost") or host.startswith("127.")


def complete_endpoint(endpoint: str, *, protocol: str) -> str:
    """Return a collector URL for its protocol: with `/v1/traces` for HTTP, without a path for gRPC."""
    if "://" not in endpoint:
        endpoint = f"http://{endpoint}"
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or (parts.port or 1) < 0:
        raise ValueError(f"{endpoint!r} is not an http or https URL")
    path = parts.path.rstrip("/")
    if protocol == "grpc":
        return urlunsplit((parts.scheme, parts.netloc, "", "", ""))
    if not path.endswith(TRACES_PATH):
        path += TRACES_PATH
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def _endpoint(given: str | None, phoenix: ModuleType | None, protocol: str) -> str:
    own = (given, _first("KAIZEN_TRACING_ENDPOINT"))
    inherited = (
        _first("PHOENIX_COLLECTOR_ENDPOINT"),
        _first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        _ask(phoenix, "get_env_collector_endpoint"),
        DEFAULT_ENDPOINT,
    )
    for value in (*own, *inherited):
        if value:
            try:
                url = value if value in own else _phoenix_endpoint(value, phoenix, protocol)
                return complete_endpoint(url, protocol=protocol)
            except ValueError as exc:
                _warn_once("A collector endpoint is ignored: %s.", str(exc))
    return complete_endpoint(DEFAULT_ENDPOINT, protocol=protocol)


def _phoenix_endpoint(value: str, phoenix: ModuleType | None, protocol: str) -> str:
    """Return the collector URL for Phoenix's web address; gRPC has another port of the same host."""
    parts = urlsplit(value if "://" in value else f"http://{value}")
    if parts.hostname == "app.phoenix.arize.com":
        space = re.match(r"/s/[A-Za-z0-9_-]+", parts.path)
        return urlunsplit((parts.scheme, parts.netloc, space[0] if space else "", "", ""))
    if protocol == "grpc" and parts.hostname:
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return f"{parts.scheme}://{host}:{_ask(phoenix, 'get_env_grpc_port') or 4317}"
    return value


def _protocol(given: str | None) -> str:
    value = given or _first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    if value not in ("", "grpc", "http/protobuf"):
        _warn_once("The protocol %r is not supported; http/protobuf is used.", value)
    return "grpc" if value == "grpc" else "http/protobuf"


def _project(phoenix: ModuleType | None) -> str:
    own = _first("KAIZEN_TRACING_PROJECT", "PHOENIX_PROJECT", "PHOENIX_PROJECT_NAME")
    asked = _ask(phoenix, "get_env_project_name")
    # Phoenix answers "default" when nothing names a project.
    return own or (asked if asked and asked != "default" else DEFAULT_PROJECT)


def _headers(options: Options, phoenix: ModuleType | None, endpoint: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    names = (*OTEL_HEADERS, "PHOENIX_CLIENT_HEADERS")
    foreign = foreign_headers(endpoint)
    for name in names:
        if name not in foreign:
            headers |= parse_headers(os.environ.get(name, ""))
    headers |= _ask(phoenix, "get_env_client_headers") or {}
    api_key = options.api_key or _first("PHOENIX_API_KEY")
    if api_key:
        headers["authorization"] = f"Bearer {api_key}"
    else:
        headers |= _ask(phoenix, "get_env_phoenix_auth_header") or {}
    headers |= {name.lower(): value for name, value in (options.headers or {}).items()}
    return headers


def foreign_headers(endpoint: str) -> tuple[str, ...]:
    """Return OpenTelemetry's variables of headers that are set for another host than that of the endpoint.

    They may hold the credentials of another service, whose endpoint OpenTelemetry's variables name.
    """
    named = _first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT") or OTEL_ENDPOINT
    same = _host(named) == _host(endpoint)
    return () if same else tuple(name for name in OTEL_HEADERS if _first(name))


def _host(endpoint: str) -> str:
    try:
        host = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}").hostname or ""
    except ValueError:
        return ""
    return "localhost" if is_loopback(host) else host


def parse_headers(text: str) -> dict[str, str]:
    """Parse `name=value,name=value`, URL-encoded, the format of OTEL_EXPORTER_OTLP_HEADERS."""
    pairs = [part.split("=", 1) for part in text.split(",") if "=" in part]
    return {unquote(name).strip().lower(): unquote(value).strip() for name, value in pairs}


def _first(*names: str) -> str:
    return next((value for name in names if (value := os.environ.get(name, "").strip())), "")


def _boolean(name: str, default: bool) -> bool:
    value = _first(name).lower()
    return default if not value else value not in ("false", "0", "no", "off")


def _number(name: str, default: float) -> float:
    value = _first(name)
    try:
        number = float(value) if value else default
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:
        _warn_once("%s=%s is not a number that makes sense; %s is used.", name, value, default)
        return default
    return number


@functools.cache
def _warn_once(message: str, *arguments: object) -> None:
    """Warn of a setting; the settings are read anew by each report on the state of tracing."""
    logger.warning(message, *arguments)


def _limit(name: str, general_name: str) -> int:
    """Read a limit of spans, or else the general one; 0 is no limit."""
    return int(_number(name if _first(name) else general_name, 0))


def _phoenix_settings() -> ModuleType | None:
    """Load Phoenix's own reader of its variables and of `.env.phoenix` from its file.

    From its file, because `import phoenix.otel.settings` costs ten seconds beside a Phoenix server.
    """
    try:
        package = importlib.util.find_spec("phoenix")
        for folder in (package and package.submodule_search_locations) or ():
            path = os.path.join(folder, "otel", "settings.py")
            if os.path.exists(path):
                spec = importlib.util.spec_from_file_location("kaizen.auto._phoenix_settings", path)
                if spec is not None and spec.loader is not None:
                    module = importlib.util.module_from_spec(spec)
                    spec.loader.exec_module(module)
                    return module
    except Exception as exc:  # noqa: BLE001 - another version may be laid out differently
        logger.debug("Phoenix's settings cannot be read: %r", exc)
    return None


def _ask(phoenix: ModuleType | None, function: str) -> Any:
    try:
        return getattr(phoenix, function)() if phoenix is not None else None
    except Exception as exc:  # noqa: BLE001 - it raises for values in the environment that it rejects
        _warn_once("A Phoenix setting is ignored: %s", str(exc))
        return None
