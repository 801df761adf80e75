"""What a sync needs to know: options, then the environment, then `.env`, then defaults."""

from __future__ import annotations

import math
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self
from urllib.parse import unquote, urlsplit

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    InstanceOf,
    SecretStr,
    field_validator,
    model_validator,
)

from kaizen.store import EnvironmentSettings
from kaizen.sync.durations import parse_duration
from kaizen.sync.errors import SettingsError
from kaizen.sync.model import OutcomeRules
from kaizen.sync.redact import Redaction

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_PHOENIX_URL = "http://localhost:6006"
DEFAULT_PROJECT = "kaizen-agent"
DEFAULT_MODEL = "gpt-4.1-mini"
# No model: tips are mined from the trajectory itself, and nothing is asked of anybody.
OFFLINE = "offline"

_FEWEST_TOKENS = 4_000
_LONGEST_WAIT_S = 366 * 86_400.0
_ON = ("true", "1", "yes", "on")
_OFF = ("", "false", "0", "no", "off")
_USUAL = OutcomeRules()

# A token, RFC 9110 section 5.6.2.
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# `urlsplit` drops line breaks and tabs silently, so that a broken URL would look valid.
_NO_URL = re.compile(r"[\s\x00-\x1f\x7f\\]")
_USER = re.compile(r"(?<=//)[^/]*@")


def _number(write: str, *, above: float = -math.inf) -> Callable[[Any], float]:
    """Return a validator for finite numbers above that one; `write` completes what an error says to do."""

    def check(value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not (math.isfinite(number) and number > above):
            raise ValueError(f"write {write}")
        return number

    return check


def _switch(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in _ON + _OFF:
        raise ValueError("write true or false")
    return text in _ON


def _words(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    words = tuple(filter(None, map(str.strip, value.split(","))))
    if not words:
        raise ValueError("write names with commas between them")
    return words


Seconds = Annotated[
    float, BeforeValidator(_number("a number of seconds greater than 0, such as 30", above=0))
]
Score = Annotated[float, BeforeValidator(_number("a number such as 0.7"))]
Switch = Annotated[bool, BeforeValidator(_switch)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]


class _SyncEnvironment(EnvironmentSettings):
    error_type: ClassVar[type[ValueError]] = SettingsError


class PhoenixSettings(_SyncEnvironment):
    """Say where Phoenix is, and how to ask it.

    `base_url` loses a trailing slash or `/v1/traces`, and user and password, which become a header. `headers`
    are all headers to send, the API key among them. `timeout_s` holds for one request. `ca_file` names the
    certificates to trust, a file or a directory; empty: those that Python trusts.

    Raises `SettingsError` for a value that is not acceptable.
    """

    project: str = Field(
        default=DEFAULT_PROJECT,
        validation_alias=AliasChoices("KAIZEN_TRACING_PROJECT", "PHOENIX_PROJECT", "PHOENIX_PROJECT_NAME"),
        description="Phoenix project (`--project`)",
        json_schema_extra={"option": "--project"},
    )
    base_url: str = Field(
        default=DEFAULT_PHOENIX_URL,
        validation_alias=AliasChoices(
            "PHOENIX_URL",
            "KAIZEN_TRACING_ENDPOINT",
            "PHOENIX_ENDPOINT",
            "PHOENIX_COLLECTOR_ENDPOINT",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "PHOENIX_BASE_URL",
        ),
        description="Phoenix server (`--url`)",
        json_schema_extra={
            "option": "--url",
            "default": f"`http://PHOENIX_HOST:PHOENIX_PORT`, then `{DEFAULT_PHOENIX_URL}`",
        },
    )
    host: str = Field(
        default="",
        validation_alias="PHOENIX_HOST",
        description="host of the Phoenix server, if none of those says where it is",
    )
    port: str = Field(default="6006", validation_alias="PHOENIX_PORT", description="its port")
    api_key: SecretStr | None = Field(
        default=None, validation_alias="PHOENIX_API_KEY", description="sent as `authorization: Bearer ...`"
    )
    headers: Mapping[str, str] = Field(
        default_factory=dict,
        validation_alias="PHOENIX_CLIENT_HEADERS",
        repr=False,
        description="more headers: `name=value,other=value`, URL-encoded",
        examples=["x-team=search"],
    )
    timeout_s: Seconds = Field(
        default=30.0,
        validation_alias="KAIZEN_PHOENIX_TIMEOUT",
        description="seconds Phoenix may take for one answer",
    )
    ca_file: str = Field(
        default="",
        validation_alias=AliasChoices("KAIZEN_PHOENIX_CA", "SSL_CERT_FILE"),
        description="certificates to trust, a PEM file or a directory",
        json_schema_extra={"default": "what Python trusts"},
    )

    @classmethod
    def from_environ(
        cls, environ: Mapping[str, str], *, url: str | None = None, project: str | None = None
    ) -> PhoenixSettings:
        """Read `PHOENIX_URL`, then what tracing reads in the order in which it does; what is passed wins."""
        return cls.read(environ, base_url=url, project=project)

    @field_validator("headers", mode="before")
    @classmethod
    def _parse_headers(cls, value: Any) -> Any:
        return _headers(value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = "base_url" in self.model_fields_set or not self.host
        url, credentials = split_url(
            self.base_url if given else _listening_url(self.host, self.port),
            server="a Phoenix server",
            example=DEFAULT_PHOENIX_URL,
            variable="PHOENIX_URL",
        )
        bearer = bearer_header(self.api_key, "PHOENIX_API_KEY")
        # The model is frozen for its users; this is still its construction.
        self.__dict__.update(base_url=url, headers={**credentials, **self.headers, **bearer})
        return self


def _listening_url(host: str, port: str) -> str:
    """Return the URL at which a server that listens on this host and port is reached."""
    reachable = "localhost" if host in ("0.0.0.0", "::") else host  # noqa: S104
    address = f"[{reachable}]" if ":" in reachable else reachable
    return f"http://{address}:{port}"


def split_url(value: str, *, server: str, example: str, variable: str) -> tuple[str, dict[str, str]]:
    """Return the URL without user and password, which messages and links would show, and their header."""
    url = value.strip().rstrip("/").removesuffix("/v1/traces").rstrip("/")
    try:
        # It raises for a broken IPv6 address, and `port` for what is not a port.
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
            f"'{_USER.sub('', value)}' is not the URL of {server}; "
            f"write it like {example} (--url, or {variable} in the environment)"
        )
    # A password may contain an @: the last one ends it.
    user, at, address = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    return parts._replace(netloc=address).geturl(), basic_header(unquote(user))


def basic_header(user_and_password: str) -> dict[str, str]:
    """Return the header of a user and a password with a colon between them."""
    return {"authorization": f"Basic {b64encode(user_and_password.encode()).decode()}"}


def bearer_header(key: SecretStr | None, variable: str) -> dict[str, str]:
    """Return the header of a key, which that variable sets; none if there is no key."""
    text = key.get_secret_value().strip() if key else ""
    return {"authorization": f"Bearer {_header_value(text, variable)}"} if text else {}


def _headers(text: str) -> dict[str, str]:
    """Parse headers that are URL-encoded as Phoenix reads them."""
    headers: dict[str, str] = {}
    for pair in filter(str.strip, text.split(",")):
        name, separator, value = (unquote(part).strip() for part in pair.partition("="))
        if not separator or not _HEADER_NAME.fullmatch(name):
            raise SettingsError(
                f"PHOENIX_CLIENT_HEADERS holds '{_shown(pair)}'; write it like name=value,other=value"
            )
        headers[name.lower()] = _header_value(value, "PHOENIX_CLIENT_HEADERS")
    return headers


def _header_value(value: str, variable: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise SettingsError(
            f"{variable} holds a character that no HTTP header can carry; copy the value once more"
        )
    return value


def _shown(pair: str) -> str:
    """Return the beginning of what may be a credential."""
    text = pair.strip()
    return text if len(text) <= 8 else f"{text[:4]}..."


class ModelSettings(_SyncEnvironment):
    """Say which models write and reconcile tips, by any name that LiteLLM knows, or `offline` for none.

    `timeout_s` holds for one call, `attempts` for all of one question. `max_input_tokens` bounds what a tips
    prompt may have (None: 50,000 tokens); if `segmentation_enabled`, long runs are divided into their tasks
    first.

    Raises `SettingsError` for a value that is not acceptable.
    """

    tips_model: str = Field(
        default=DEFAULT_MODEL,
        validation_alias=AliasChoices("KAIZEN_TIPS_MODEL", "KAIZEN_MODEL_NAME"),
        description="model that writes tips, by its LiteLLM name (`--model`); `offline`: "
        "[none](../explanation/tips.md#offline-generator)",
    )
    reconcile_model: str = Field(
        default=DEFAULT_MODEL,
        validation_alias=AliasChoices("KAIZEN_CONFLICT_RESOLUTION_MODEL", "KAIZEN_MODEL_NAME"),
        description="model that compares new tips with known ones; `offline`: none, "
        "what is alike stays apart",
        json_schema_extra={"default": "the tips model (only that if it is `offline`)"},
    )
    trust_model: str | None = Field(
        default=None,
        validation_alias="KAIZEN_TRUST_MODEL",
        description="model that is asked whether new tips are safe, and may only hold them back: "
        "[Trust](../explanation/trust.md#a-second-opinion)",
        json_schema_extra={"default": "none"},
    )
    custom_llm_provider: str | None = Field(
        default=None,
        validation_alias="KAIZEN_CUSTOM_LLM_PROVIDER",
        description="LiteLLM's `custom_llm_provider`, for names it cannot place",
    )
    max_input_tokens: int | None = Field(
        default=None,
        validation_alias="KAIZEN_TIPS_MAX_INPUT_TOKENS",
        description="tokens that a tips prompt may have, at least 4000: "
        "[how runs are condensed](../explanation/tips.md#what-the-model-is-shown)",
        json_schema_extra={"default": "`50000`, or what the model takes if that is less"},
    )
    segmentation_enabled: Switch = Field(
        default=False,
        validation_alias="KAIZEN_SEGMENTATION_ENABLED",
        description="`true`: long runs are "
        "[divided into their tasks](../explanation/tips.md#tasks-of-a-long-run) first, "
        "for one more model call",
    )
    timeout_s: Seconds = Field(
        default=120.0, validation_alias="KAIZEN_MODEL_TIMEOUT", description="seconds one model call may take"
    )
    attempts: int = 4

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], *, model: str | None = None) -> ModelSettings:
        """Read `KAIZEN_TIPS_MODEL`, `KAIZEN_CONFLICT_RESOLUTION_MODEL` and `KAIZEN_MODEL_NAME`.

        `KAIZEN_MODEL_NAME` stands for whichever of the two is not set; the conflict resolution model
        falls back to the tips model, and to nothing else if that is `offline`.
        """
        settings = cls.read(environ, tips_model=model)
        follows = "reconcile_model" not in settings.model_fields_set or (
            settings.tips_model == OFFLINE and not environ.get("KAIZEN_CONFLICT_RESOLUTION_MODEL", "").strip()
        )
        return settings.model_copy(update={"reconcile_model": settings.tips_model}) if follows else settings

    @field_validator("max_input_tokens", mode="before")
    @classmethod
    def _check_tokens(cls, value: Any) -> int | None:
        text = str(value).strip()
        if value is not None and not (text.isdecimal() and int(text[:10]) >= _FEWEST_TOKENS):
            raise ValueError(f"write a number of tokens, at least {_FEWEST_TOKENS}")
        return None if value is None else int(text[:10])


class OutcomeSettings(_SyncEnvironment):
    """Say which annotations count as outcomes, and how long traces are asked for again.

    `rules` holds all but `wait_s`: how long after it was learned from a trace is asked for again; 0 is not
    at all.

    Raises `SettingsError` for a value that is not acceptable.
    """

    names: Words = Field(
        default=_USUAL.names,
        validation_alias="KAIZEN_OUTCOME_NAMES",
        description="names of annotations that judge a run, with commas between them; `*` is every name: "
        "[judging runs](../guides/outcomes.md)",
    )
    success_labels: Words = Field(
        default=_USUAL.success_labels,
        validation_alias="KAIZEN_OUTCOME_SUCCESS_LABELS",
        description="labels that mean success",
    )
    failure_labels: Words = Field(
        default=_USUAL.failure_labels,
        validation_alias="KAIZEN_OUTCOME_FAILURE_LABELS",
        description="labels that mean failure",
    )
    success_score: Score = Field(
        default=_USUAL.success_score,
        validation_alias="KAIZEN_OUTCOME_SUCCESS_SCORE",
        description="score from which on a run is a success",
    )
    failure_score: Score = Field(
        default=_USUAL.failure_score,
        validation_alias="KAIZEN_OUTCOME_FAILURE_SCORE",
        description="score down from which it is a failure",
    )
    include_inner_spans: Switch = Field(
        default=_USUAL.include_inner_spans,
        validation_alias="KAIZEN_OUTCOME_INNER_SPANS",
        description="`true` lets annotations of any span judge the run, not only those of its root",
    )
    wait_s: float = Field(
        default=604_800.0,
        validation_alias="KAIZEN_OUTCOME_WAIT",
        description="how long a trace that was learned from is asked for again; `0` is not at all",
        json_schema_extra={"default": "`7d`"},
        examples=["7d"],
    )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> OutcomeSettings:
        """Read `KAIZEN_OUTCOME_*`."""
        return cls.read(environ)

    @property
    def rules(self) -> OutcomeRules:
        return OutcomeRules(**self.model_dump(exclude={"wait_s"}))

    @field_validator("wait_s", mode="before")
    @classmethod
    def _parse_wait(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return parse_duration(value, at_most_s=_LONGEST_WAIT_S)
        except SettingsError as error:
            raise SettingsError(f"KAIZEN_OUTCOME_WAIT: {error}") from None

    @model_validator(mode="after")
    def _check_scores(self) -> Self:
        if self.failure_score >= self.success_score:
            raise SettingsError(
                f"KAIZEN_OUTCOME_FAILURE_SCORE ({self.failure_score:g}) is not below "
                f"KAIZEN_OUTCOME_SUCCESS_SCORE ({self.success_score:g}); a score cannot be both"
            )
        return self


class RedactionSettings(_SyncEnvironment):
    """Say what is redacted besides secrets: `kinds` with commas between them, `patterns` one a line."""

    kinds: str = Field(
        default="",
        validation_alias="KAIZEN_REDACT",
        description="what to redact besides secrets: `emails`, `cards`, or both with a comma",
    )
    patterns: str = Field(
        default="",
        validation_alias="KAIZEN_REDACT_PATTERNS",
        description="patterns of your own, one `kind=expression` a line: "
        "[Trust](../explanation/trust.md#what-is-redacted)",
    )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> RedactionSettings:
        """Read `KAIZEN_REDACT` and `KAIZEN_REDACT_PATTERNS`."""
        return cls.read(environ)

    @property
    def redaction(self) -> Redaction:
        """Return the compiled patterns; raises `SettingsError` for what is not a kind or an expression."""
        return Redaction.from_environ({"KAIZEN_REDACT": self.kinds, "KAIZEN_REDACT_PATTERNS": self.patterns})


class SyncSettings(_SyncEnvironment):
    """Say how one sync goes about it.

    `limit` is the greatest number of new or changed traces to process, oldest first (None: all).
    `quiet_s` is how long a trace whose root has ended must have been silent, `max_wait_s` how long one
    without a root. `max_attempts` is how often a trace may fail before it is left alone. `since` and `until`
    bound when traces started. `full` reads the whole index, as is done by itself once in `full_every_s`.
    `max_cost_usd` stops the run when its model calls have cost that much; those under way are finished. With
    `dry_run` a run may only be previewed. `redaction` is what is redacted besides secrets. `outcome_rules`
    are the usual ones where none are given, and `outcome_wait_s` is how long a trace is asked for again after
    it was learned from.

    Raises `SettingsError` for a value that is not acceptable.
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
    redaction: InstanceOf[Redaction] = Field(default_factory=Redaction)
    outcome_rules: InstanceOf[OutcomeRules] | None = None
    outcome_wait_s: float = 604_800.0

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], **options: Any) -> SyncSettings:
        """Read `KAIZEN_REDACT*` and `KAIZEN_OUTCOME_*`; `options` are all other fields."""
        outcomes = OutcomeSettings.from_environ(environ)
        return cls(
            redaction=RedactionSettings.from_environ(environ).redaction,
            outcome_rules=outcomes.rules,
            outcome_wait_s=outcomes.wait_s,
            **options,
        )

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        if self.limit is not None and self.limit < 1:
            raise SettingsError(f"--limit is {self.limit}; it counts traces and is at least 1")
        if self.concurrency < 1:
            raise SettingsError(f"--concurrency is {self.concurrency}; it is at least 1")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise SettingsError(
                f"--since {self.since.isoformat()} is not before --until {self.until.isoformat()}; "
                "no trace can have started between them"
            )
        return self
