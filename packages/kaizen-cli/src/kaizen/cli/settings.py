"""What the command itself reads from the environment."""

from __future__ import annotations

from pydantic import Field

from kaizen.store import EnvironmentSettings


class CliSettings(EnvironmentSettings):
    """Hold how the command behaves, whichever command it is."""

    debug: bool = Field(
        default=False,
        validation_alias="KAIZEN_DEBUG",
        description="`true` shows a Python stack trace with an error that Kaizen did not expect (`--debug`)",
        examples=["true"],
    )
