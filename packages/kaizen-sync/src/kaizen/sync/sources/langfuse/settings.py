"""Where Langfuse is, and how to ask it."""

from __future__ import annotations

from typing import Self

from pydantic import AliasChoices, Field, SecretStr, model_validator

from kaizen.sync.settings import Seconds, basic_header, split_url
from kaizen.sync.sources.files.settings import IndexSettings
from kaizen.sync.sources.http import Server

DEFAULT_URL = "https://cloud.langfuse.com"


class LangfuseSettings(IndexSettings):
    """Say where Langfuse is, and with which keys to ask it: they belong to one project.

    `project` is the name that its traces go by, else the public key. `ca_file` names the certificates to
    trust, a file or a directory.
    """

    project: str = Field(
        default="",
        validation_alias="KAIZEN_LANGFUSE_PROJECT",
        description="name that the traces go by, for keys that change; the public key if it is not given",
        json_schema_extra={"option": "--project"},
    )
    base_url: str = Field(
        default=DEFAULT_URL,
        validation_alias=AliasChoices("LANGFUSE_BASE_URL", "LANGFUSE_HOST"),
        description="Langfuse server",
        json_schema_extra={"option": "--url"},
    )
    public_key: str = Field(
        default="", validation_alias="LANGFUSE_PUBLIC_KEY", description="public key of the project"
    )
    secret_key: SecretStr | None = Field(
        default=None, validation_alias="LANGFUSE_SECRET_KEY", description="secret key of the project"
    )
    timeout_s: Seconds = Field(
        default=30.0,
        validation_alias="KAIZEN_LANGFUSE_TIMEOUT",
        description="seconds Langfuse may take for one answer",
    )
    ca_file: str = Field(
        default="",
        validation_alias=AliasChoices("KAIZEN_LANGFUSE_CA", "SSL_CERT_FILE"),
        description="certificates to trust, a PEM file or a directory",
        json_schema_extra={"default": "what Python trusts"},
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.server()
        return self

    def server(self) -> Server:
        """Return how that server is asked."""
        url, _ = split_url(
            self.base_url, server="a Langfuse server", example=DEFAULT_URL, variable="LANGFUSE_BASE_URL"
        )
        secret = self.secret_key.get_secret_value() if self.secret_key else ""
        return Server(
            title="Langfuse",
            base_url=url,
            headers=basic_header(f"{self.public_key}:{secret}"),
            timeout_s=self.timeout_s,
            ca_file=self.ca_file,
            expected="a Langfuse server of version 3",
            start="say where it is with --url or LANGFUSE_BASE_URL",
            advice={
                400: "the server may be of a version that Kaizen does not know",
                401: "set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY to keys of this server",
                403: "the keys may not read this project",
                404: "check --url",
            },
        )
