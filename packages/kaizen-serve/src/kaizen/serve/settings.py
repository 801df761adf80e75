"""How the server is reached, by whom, and within which bounds."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator, model_validator

from kaizen.serve.security.addresses import is_loopback
from kaizen.serve.tokens import Token, parse_tokens
from kaizen.store import EnvironmentSettings, InvalidInputError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765


class ServeSettings(EnvironmentSettings):
    """Say where `kaizen serve` listens, which tokens it takes, and how much it takes on.

    Raises `InvalidInputError` for a value that is not acceptable, and for an address that others can reach
    without a token.
    """

    host: str = Field(
        default=DEFAULT_HOST,
        validation_alias="KAIZEN_SERVE_HOST",
        description="address to listen on (`--host`); any other than loopback demands `KAIZEN_SERVE_TOKENS`",
        examples=["0.0.0.0"],  # noqa: S104 - as one writes it
    )
    port: int = Field(
        default=DEFAULT_PORT,
        ge=0,
        le=65535,
        validation_alias="KAIZEN_SERVE_PORT",
        description="port to listen on (`--port`); 0 takes a free one",
        examples=["8765"],
    )
    tokens: SecretStr = Field(
        default=SecretStr(""),
        validation_alias="KAIZEN_SERVE_TOKENS",
        description="who may come in: lines that `kaizen serve token NAME` prints, with blanks between them",
        examples=["ann:review+write:sha256:9f86d0..."],
    )
    hosts: str = Field(
        default="",
        validation_alias="KAIZEN_SERVE_HOSTS",
        description="names under which people and agents reach it, with commas between them; any but "
        "loopback demands a token of everyone",
        examples=["kaizen.example.org"],
    )
    base_path: str = Field(
        default="",
        validation_alias="KAIZEN_SERVE_BASE_PATH",
        description="path in front of all of its own, behind a proxy (`--root-path`)",
        examples=["/kaizen"],
    )
    phoenix_url: str = Field(
        default="",
        validation_alias="KAIZEN_SERVE_PHOENIX_URL",
        description="address of Phoenix as browsers reach it, for links to spans; by default the one in the "
        "evidence",
        examples=["https://phoenix.example.org"],
    )
    timeout_s: float = Field(
        default=30.0,
        gt=0,
        validation_alias="KAIZEN_SERVE_TIMEOUT",
        description="seconds that a request may take",
        examples=["30"],
    )
    threads: int = Field(
        default=8,
        ge=1,
        le=100,
        validation_alias="KAIZEN_SERVE_THREADS",
        description="how many requests read the store at the same time; others wait",
        examples=["8"],
    )

    @field_validator("base_path")
    @classmethod
    def _path(cls, value: str) -> str:
        if value and not value.startswith("/"):
            raise ValueError("begin it with /")
        return value.rstrip("/")

    @field_validator("tokens")
    @classmethod
    def _tokens(cls, value: SecretStr) -> SecretStr:
        parse_tokens(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _is_safe(self) -> ServeSettings:
        if not self.is_private and not self.tokens.get_secret_value().strip():
            where = self.host if not is_loopback(self.host) else self.hosts
            raise InvalidInputError(
                f"{where} can be reached by others, so it needs tokens: run `kaizen serve token NAME`, and "
                "set KAIZEN_SERVE_TOKENS to the line that it prints"
            )
        return self

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Return the names, without a port, that a request may be sent to."""
        named = (name.strip().lower() for name in self.hosts.split(","))
        own = () if self.host in ("0.0.0.0", "::") else (self.host.lower(),)  # noqa: S104
        return frozenset(filter(None, (*named, *own, "localhost", "127.0.0.1", "::1")))

    @property
    def is_private(self) -> bool:
        """Return whether only this machine is meant to reach it, whose programs may read without a token."""
        return is_loopback(self.host) and all(map(is_loopback, self.allowed_hosts))

    def known_tokens(self) -> tuple[Token, ...]:
        return parse_tokens(self.tokens.get_secret_value())
