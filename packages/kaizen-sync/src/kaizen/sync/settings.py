"""What a sync needs to know: options, then the environment, then `.env`, then defaults."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from kaizen.sync.environment import is_on, seconds
from kaizen.sync.errors import SettingsError
from kaizen.sync.redact import Redaction

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from kaizen.sync.model import OutcomeRules

DEFAULT_PHOENIX_URL = "http://localhost:6006"
DEFAULT_PROJECT = "kaizen-agent"
DEFAULT_MODEL = "gpt-4.1-mini"
# No model: tips are mined from the trajectory itself, and nothing is asked of anybody.
OFFLINE = "offline"

_URL_VARIABLES = (
    "PHOENIX_URL",
    "KAIZEN_TRACING_ENDPOINT",
    "PHOENIX_ENDPOINT",
    "PHOENIX_COLLECTOR_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "PHOENIX_BASE_URL",
)

_FEWEST_TOKENS = 4_000

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NO_URL = re.compile(r"[\s\x00-\x1f\x7f\\]")
_USER = re.compile(r"(?<=//)[^/]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoenixSettings:
    """Where Phoenix is. `base_url` has no trailing slash; `timeout_s` holds for one request.

    `ca_file` names the certificates to trust, a file or a directory; empty: those that Python trusts.
    """

    base_url: str = DEFAULT_PHOENIX_URL
    project: str = DEFAULT_PROJECT
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 30.0
    ca_file: str = ""

    @classmethod
    def from_environ(
        cls, environ: Mapping[str, str], *, url: str | None = None, project: str | None = None
    ) -> PhoenixSettings:
        """Read `PHOENIX_URL`, then what tracing reads in the order in which it does.

        Raises `SettingsError` for a URL or a header list that cannot be one.
        """
        base_url, credentials = _base_url(url or _phoenix_url(environ))
        return cls(
            base_url=base_url,
            project=project
            or environ.get("KAIZEN_TRACING_PROJECT")
            or environ.get("PHOENIX_PROJECT")
            or environ.get("PHOENIX_PROJECT_NAME")
            or DEFAULT_PROJECT,
            headers={**credentials, **_headers(environ)},
            timeout_s=seconds(environ, "KAIZEN_PHOENIX_TIMEOUT", 30.0),
            ca_file=environ.get("KAIZEN_PHOENIX_CA") or environ.get("SSL_CERT_FILE") or "",
        )


def _phoenix_url(environ: Mapping[str, str]) -> str:
    for variable in _URL_VARIABLES:
        if value := environ.get(variable):
            return value
    if host := environ.get("PHOENIX_HOST"):
        reachable = "localhost" if host in ("0.0.0.0", "::") else host  # noqa: S104
        address = f"[{reachable}]" if ":" in reachable else reachable
        return f"http://{address}:{environ.get('PHOENIX_PORT') or '6006'}"
    return DEFAULT_PHOENIX_URL


def _base_url(value: str) -> tuple[str, dict[str, str]]:
    """The URL without user and password, which end up in messages and in stored links, and their header."""
    url = value.strip().rstrip("/").removesuffix("/v1/traces").rstrip("/")
    try:
        parts = urlsplit(url)
        valid = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not (parts.query or parts.fragment or _NO_URL.search(url))
        )
    except ValueError:
        valid = False
    if not valid:
        raise SettingsError(
            f"'{_USER.sub('', value)}' is no URL of a Phoenix server; write it like {DEFAULT_PHOENIX_URL} "
            "(--url, or PHOENIX_URL in the environment)"
        )
    user, at, address = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    token = b64encode(unquote(user).encode()).decode()
    return parts._replace(netloc=address).geturl(), {"authorization": f"Basic {token}"}


def _headers(environ: Mapping[str, str]) -> dict[str, str]:
    """Extra headers, URL-encoded as Phoenix reads them, and the API key."""
    headers: dict[str, str] = {}
    for pair in filter(str.strip, environ.get("PHOENIX_CLIENT_HEADERS", "").split(",")):
        name, separator, value = (unquote(part).strip() for part in pair.partition("="))
        if not separator or not _HEADER_NAME.fullmatch(name):
            raise SettingsError(
                f"PHOENIX_CLIENT_HEADERS holds '{_shown(pair)}'; write it like name=value,other=value"
            )
        headers[name.lower()] = _header_value(value, "PHOENIX_CLIENT_HEADERS")
    if key := environ.get("PHOENIX_API_KEY", "").strip():
        headers["authorization"] = f"Bearer {_header_value(key, 'PHOENIX_API_KEY')}"
    return headers


def _header_value(value: str, variable: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise SettingsError(
            f"{variable} holds a character that no HTTP header can carry; copy the value once more"
        )
    return value


def _shown(pair: str) -> str:
    """The beginning of what may be a credential."""
    text = pair.strip()
    return text if len(text) <= 8 else f"{text[:4]}..."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Which models write and reconcile tips, by any name that LiteLLM knows, or `offline` for none.

    `max_input_tokens` bounds what a tips prompt may have (None: 50,000 tokens); where `segmentation_enabled`,
    long runs are divided into their tasks first.
    """

    tips_model: str = DEFAULT_MODEL
    reconcile_model: str = DEFAULT_MODEL
    custom_llm_provider: str | None = None
    timeout_s: float = 120.0
    attempts: int = 4
    max_input_tokens: int | None = None
    segmentation_enabled: bool = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, model: str | None = None) -> ModelSettings:
        """Read `KAIZEN_TIPS_MODEL`, `KAIZEN_CONFLICT_RESOLUTION_MODEL` and `KAIZEN_MODEL_NAME`.

        `KAIZEN_MODEL_NAME` stands for whichever of the two is not set; the conflict resolution model
        falls back to the tips model, and to nothing else where that is `offline`.
        """
        common = environ.get("KAIZEN_MODEL_NAME")
        tips = model or environ.get("KAIZEN_TIPS_MODEL") or common or DEFAULT_MODEL
        otherwise = tips if tips == OFFLINE else common or tips
        return cls(
            tips_model=tips,
            reconcile_model=environ.get("KAIZEN_CONFLICT_RESOLUTION_MODEL") or otherwise,
            custom_llm_provider=environ.get("KAIZEN_CUSTOM_LLM_PROVIDER") or None,
            timeout_s=seconds(environ, "KAIZEN_MODEL_TIMEOUT", 120.0),
            max_input_tokens=_tokens(environ, "KAIZEN_TIPS_MAX_INPUT_TOKENS"),
            segmentation_enabled=is_on(environ, "KAIZEN_SEGMENTATION_ENABLED"),
        )


def _tokens(environ: Mapping[str, str], variable: str) -> int | None:
    text = environ.get(variable, "").strip()
    if not text:
        return None
    if not (text.isdecimal() and int(text[:10]) >= _FEWEST_TOKENS):
        raise SettingsError(f"{variable} is '{text}'; write a number of tokens, at least {_FEWEST_TOKENS}")
    return int(text[:10])


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings:
    """How one sync goes about it.

    `limit` is the greatest number of new or changed traces to process, oldest first (None: all).
    `quiet_s` is how long a trace whose root has ended must have been silent, `max_wait_s` how long one
    without a root. `max_attempts` is how often a trace may fail before it is left alone. `since` and `until`
    bound when traces started. `full` reads the whole index, as is done by itself once in `full_every_s`.
    `max_cost_usd` stops the run when its model calls have cost that much; those under way are finished. With
    `dry_run` a run may only be previewed. `redaction` is what is redacted besides secrets. `outcome_rules`
    are the usual ones where none are given, and `outcome_wait_s` is how long a trace is asked for again after
    it was learned from.
    """

    namespace_id: str = "kaizen"
    include_errors: bool = False
    limit: int | None = None
    concurrency: int = 8
    quiet_s: float = 30.0
    max_wait_s: float = 600.0
    max_attempts: int = 5
    since: datetime | None = None
    until: datetime | None = None
    full: bool = False
    dry_run: bool = False
    max_cost_usd: float | None = None
    full_every_s: float = 86_400.0
    redaction: Redaction = field(default_factory=Redaction)
    outcome_rules: OutcomeRules | None = None
    outcome_wait_s: float = 604_800.0

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise SettingsError(f"--limit is {self.limit}; it counts traces and is at least 1")
        if self.concurrency < 1:
            raise SettingsError(f"--concurrency is {self.concurrency}; it is at least 1")
