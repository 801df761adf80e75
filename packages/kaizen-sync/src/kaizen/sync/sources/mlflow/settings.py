"""Where MLflow is, and how to ask it."""

from __future__ import annotations

from typing import Self

from pydantic import AliasChoices, Field, SecretStr, model_validator

from kaizen.sync.settings import Seconds, basic_header, bearer_header, split_url
from kaizen.sync.sources.files.settings import IndexSettings
from kaizen.sync.sources.http import Server

DEFAULT_URL = "http://localhost:5000"


class MlflowSettings(IndexSettings):
    """Say where MLflow is, and how to ask it.

    `project` is an experiment. `base_url` loses user and password, which become a header like `username` and
    `password`; a `token` goes before both. `ca_file` names the certificates to trust, a file or a directory.
    """

    project: str = Field(
        default="Default",
        validation_alias="MLFLOW_EXPERIMENT_NAME",
        description="MLflow experiment",
        json_schema_extra={"option": "--project"},
    )
    base_url: str = Field(
        default=DEFAULT_URL,
        validation_alias="MLFLOW_TRACKING_URI",
        description="MLflow server",
        json_schema_extra={"option": "--url"},
    )
    token: SecretStr | None = Field(
        default=None,
        validation_alias="MLFLOW_TRACKING_TOKEN",
        description="sent as `authorization: Bearer ...`",
    )
    username: str = Field(
        default="",
        validation_alias="MLFLOW_TRACKING_USERNAME",
        description="user, if the server asks for a password",
    )
    password: SecretStr | None = Field(
        default=None, validation_alias="MLFLOW_TRACKING_PASSWORD", description="the user's password"
    )
    timeout_s: Seconds = Field(
        default=30.0,
        validation_alias="KAIZEN_MLFLOW_TIMEOUT",
        description="seconds MLflow may take for one answer",
    )
    ca_file: str = Field(
        default="",
        validation_alias=AliasChoices(
            "KAIZEN_MLFLOW_CA", "MLFLOW_TRACKING_SERVER_CERT_PATH", "SSL_CERT_FILE"
        ),
        description="certificates to trust, a PEM file or a directory",
        json_schema_extra={"default": "what Python trusts"},
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.server()
        return self

    def server(self) -> Server:
        """Return how that server is asked."""
        url, credentials = split_url(
            self.base_url, server="an MLflow server", example=DEFAULT_URL, variable="MLFLOW_TRACKING_URI"
        )
        if self.username:
            password = self.password.get_secret_value() if self.password else ""
            credentials = basic_header(f"{self.username}:{password}")
        return Server(
            title="MLflow",
            base_url=url,
            headers=credentials | bearer_header(self.token, "MLFLOW_TRACKING_TOKEN"),
            timeout_s=self.timeout_s,
            ca_file=self.ca_file,
            expected="an MLflow server of version 3 that counts spans, such as 3.17",
            start="start it with `mlflow server`, or say where it is with --url or MLFLOW_TRACKING_URI",
            advice={
                400: "the server may be of a version that Kaizen does not know",
                401: "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
                403: "the user may not read this experiment",
                404: "check --url; the experiment may have been deleted meanwhile",
            },
        )
