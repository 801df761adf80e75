"""Which store to open, by options, the environment, then defaults; and how Kaizen reads any setting."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import unquote

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from kaizen.store.errors import InvalidInputError

if TYPE_CHECKING:
    import os

    from pydantic.fields import FieldInfo

DEFAULT_BACKEND = "sqlite"
DEFAULT_DATA_DIR = Path("~/.local/share/kaizen")
DEFAULT_NAMESPACE_ID = "kaizen"
DEFAULT_EMBEDDER = "wordllama"

_POSTGRES_SCHEMES = ("postgres", "postgresql")


class EnvironmentSettings(BaseSettings):
    """Base of all settings: fields, and the variables that may set them (`validation_alias`).

    Building one from fields reads no environment; the classes' own `from_environ` does. A value that is not
    acceptable raises `error_type` with one line: the field or the variable, its value unless that is secret,
    and what to write.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, case_sensitive=True, hide_input_in_errors=True
    )
    error_type: ClassVar[type[ValueError]] = InvalidInputError

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise self.error_type(self._refusal(error, {})) from error

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave only what is passed, so that a caller who names all fields gets nothing else."""
        return (init_settings,)

    @classmethod
    def variables(cls) -> dict[str, tuple[str, ...]]:
        """Return each field's variables, the one that counts first in front."""
        return {name: _variables(field) for name, field in cls.model_fields.items()}

    @classmethod
    def read(cls, environ: Mapping[str, str], **fields: Any) -> Self:
        """Build from the fields that are passed (None or "" is not), then the variables, then the defaults.

        A blank variable counts as unset.
        """
        set_by = {
            name: variable
            for name, variables in cls.variables().items()
            # The first counts, so it comes last and takes the place of the others.
            for variable in variables[::-1]
            if environ.get(variable, "").strip()
        }
        source = EnvSettingsSource(cls)
        source.env_vars = {variable: environ[variable] for variable in set_by.values()}
        read = {name: source.get_field_value(cls.model_fields[name], name)[0] for name in set_by}
        passed = {name: value for name, value in fields.items() if value not in (None, "")}
        try:
            return cls(**read | passed)
        except cls.error_type as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            labels = {name: variable for name, variable in set_by.items() if name not in passed}
            raise cls.error_type(cls._refusal(error.__cause__, labels)) from error.__cause__

    @classmethod
    def _refusal(cls, error: ValidationError, labels: Mapping[str, str]) -> str:
        """Return one line on the first thing that is wrong; `labels` names the variables that set fields."""
        first = error.errors(include_url=False)[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, cls.error_type):
            return str(cause)
        place = str(first["loc"][0]) if first["loc"] else cls.__name__
        name = next((name for name, known in cls.variables().items() if place in (name, *known)), place)
        if name not in cls.model_fields:
            return f"{cls.__name__} has no setting '{name}'; it has {', '.join(cls.model_fields)}"
        field = cls.model_fields[name]
        advice = str(cause) if cause else f"{first['msg'].lower()}; write it like {_example(field)}"
        shown = "not acceptable" if _is_secret(field) else f"'{first['input']}'"
        return f"{labels.get(name, name)} is {shown}; {advice}"


def _variables(field: FieldInfo) -> tuple[str, ...]:
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return tuple(choice for choice in choices if isinstance(choice, str))


def _is_secret(field: FieldInfo) -> bool:
    return not field.repr or "SecretStr" in str(field.annotation)


def _example(field: FieldInfo) -> str:
    return str((field.examples or [field.default])[0])


class StoreSettings(EnvironmentSettings):
    """Say which store to open.

    `backend` names an entry point of `kaizen.store.backends`. `data_dir` is made absolute, `~` expanded.
    `pg_dsn` is a libpq connection string or URL; if it is empty, libpq's own variables say all.

    Raises `InvalidInputError` for a value that is not acceptable.
    """

    backend: str = Field(
        default=DEFAULT_BACKEND,
        validation_alias="KAIZEN_BACKEND",
        description="kind of store (`--backend`): `sqlite`, `filesystem` or `postgres`; or one URL: "
        "`sqlite:DIRECTORY`, `filesystem:DIRECTORY`, `postgresql://user@host/database`",
    )
    data_dir: Path = Field(
        default=DEFAULT_DATA_DIR,
        validation_alias="KAIZEN_DATA_DIR",
        validate_default=True,
        description="where it keeps its files (`--data-dir`); the directory of a URL wins",
    )
    pg_dsn: str = Field(
        default="",
        validation_alias="KAIZEN_PG_DSN",
        repr=False,
        description="which database `postgres` uses: a URL or libpq's `name=value` pairs; what it leaves out "
        "is read from libpq's own variables (PGHOST, PGUSER, PGPASSWORD, ...)",
        examples=["postgresql://user@host/database"],
    )
    embedder: str = Field(
        default=DEFAULT_EMBEDDER,
        validation_alias="KAIZEN_EMBEDDER",
        description="what finds tips by meaning: `wordllama`, `minilm` (extra `onnx`), `litellm/MODEL`, or "
        "`none` to search by words only: [Search](../explanation/search.md)",
    )
    namespace_id: str = Field(
        default=DEFAULT_NAMESPACE_ID,
        validation_alias="KAIZEN_NAMESPACE_ID",
        description="namespace of the sync (`--namespace`)",
    )
    try_candidates: bool = Field(
        default=False,
        validation_alias="KAIZEN_RECALL_TRY",
        description="`true`: agents are given candidates too, the best of each tool, in half of the runs: "
        "[Proof](../explanation/proof.md#who-is-held-out)",
    )

    @classmethod
    def from_environ(
        cls,
        environ: Mapping[str, str],
        *,
        backend: str | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        namespace_id: str | None = None,
    ) -> StoreSettings:
        """Read `KAIZEN_BACKEND`, `KAIZEN_DATA_DIR`, `KAIZEN_NAMESPACE_ID` and so on; what is passed wins.

        `backend` and `KAIZEN_BACKEND` may also be one URL, see `from_url`. Blank variables count as unset.
        """
        settings = cls.read(environ, backend=backend, data_dir=data_dir, namespace_id=namespace_id)
        return settings.at(settings.backend)

    @classmethod
    def from_url(cls, url: str) -> StoreSettings:
        """Build the settings of `sqlite:DIRECTORY`, `filesystem:DIRECTORY` or `postgresql://user@host/database`.

        A directory may be written with or without `//` before it: `sqlite:///srv/kaizen`, `sqlite:data`.
        """
        return cls().at(url)

    def at(self, backend: str) -> StoreSettings:
        """Return these settings with the store that a backend's name or a URL says."""
        backend = backend.strip()
        scheme, colon, rest = backend.partition(":")
        name = scheme.strip().lower()
        if not colon:
            return self.model_copy(update={"backend": name})
        if name in _POSTGRES_SCHEMES:
            return self.model_copy(update={"backend": "postgres", "pg_dsn": backend})
        path = unquote(rest[2:] if rest.startswith("//") else rest)
        if not name or not path:
            raise InvalidInputError(
                f"{backend!r} names no store: write sqlite:DIRECTORY, filesystem:DIRECTORY or "
                "postgresql://user@host/database"
            )
        return self.model_copy(update={"backend": name, "data_dir": _absolute(Path(path))})

    @field_validator("data_dir")
    @classmethod
    def _make_absolute(cls, directory: Path) -> Path:
        return _absolute(directory)

    @field_validator("embedder")
    @classmethod
    def _strip(cls, embedder: str) -> str:
        return embedder.strip()


def _absolute(directory: Path) -> Path:
    if "\0" in str(directory):
        raise InvalidInputError(f"KAIZEN_DATA_DIR {str(directory)!r} contains NUL and cannot be a path")
    try:
        return directory.expanduser().absolute()
    except RuntimeError as exc:
        raise InvalidInputError(
            f"KAIZEN_DATA_DIR {str(directory)!r} names a home directory that is not known: "
            "set KAIZEN_DATA_DIR to an absolute path"
        ) from exc
