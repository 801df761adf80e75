"""`.env` of the working directory, and what it may set: a cloned repository misdirects no key and no run."""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kaizen.sync import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_OWN = re.compile(r"(?:KAIZEN|PHOENIX)_\w+")
# They name programs to start, which is for the person at the keyboard to say.
_PROGRAM = re.compile(r"KAIZEN_DEMO_\w+")
_KEY = re.compile(r"[A-Z]\w*_(?:API_?KEY|ACCESS_KEY|ACCESS_KEY_ID|TOKEN)")
_ENDPOINT = re.compile(r"[A-Z]\w*_(?:API_BASE|BASE_URL|ENDPOINT|API_VERSION|REGION|REGION_NAME|LOCATION)")
_PROXY = re.compile(r"(?:HTTPS?|ALL|NO)_PROXY", re.IGNORECASE)
# The endpoints of which it is known that LiteLLM sends them no other provider's key.
_PROVIDERS = re.compile(r"(OPENAI|ANTHROPIC|AZURE)_(?:API_BASE|BASE_URL|API_VERSION)")

# LiteLLM takes the address of some providers from the model's name.
_MODEL = re.compile(r"KAIZEN_\w*(?:MODEL|EMBEDDER)\w*")

# The environment and the file never share one of these: what either sets stands alone.
_TOGETHER = (
    ("PHOENIX_API_KEY", "PHOENIX_CLIENT_HEADERS"),
    ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"),
)
_PHOENIX_KEYS = ("PHOENIX_API_KEY", "PHOENIX_CLIENT_HEADERS")
_POSTGRES_KEYS = ("PGPASSWORD",)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvFile:
    """Hold what a `.env` file sets, and why it does not set the other names that say where something goes."""

    path: Path
    counted: Mapping[str, str]
    ignored: Mapping[str, str]

    def described(self) -> str:
        """Return one line: the names that came from the file, and those that did not; no values."""
        counted = f"{self.path} sets {', '.join(sorted(self.counted)) or 'nothing'}"
        return "; ".join([counted, *([self.described_ignored()] if self.ignored else [])])

    def described_ignored(self) -> str:
        return "ignored: " + ", ".join(f"{name} ({why})" for name, why in sorted(self.ignored.items()))


def load_env_file() -> EnvFile | None:
    """Add what `.env` of the working directory sets to the environment; return None if there is none."""
    path = Path(".env").absolute()
    if not path.is_file():
        return None
    env_file = read_env_file(path, os.environ)
    os.environ.update(env_file.counted)
    return env_file


def read_env_file(path: Path, environ: Mapping[str, str]) -> EnvFile:
    """Read which of a file's variables count beside this environment.

    Raises `SettingsError` for a file that cannot be read or parsed.
    """
    given = {name: value for name, value in _parse(path).items() if value and name not in environ}
    allowed = {name: value for name, value in given.items() if _is_allowed(name)}
    for name in _overruled(environ):
        allowed.pop(name, None)
    ignored = {name: "it names a program to start" for name in given if _PROGRAM.fullmatch(name)}
    own_keys, user_keys = _keys(allowed), _keys(environ)
    for name, value in allowed.items():
        if why := _objection(name, value, own_keys, user_keys):
            ignored[name] = why
    counted = {name: value for name, value in allowed.items() if name not in ignored}
    return EnvFile(path=path, counted=counted, ignored=ignored)


def _parse(path: Path) -> dict[str, str]:
    """Return the file's variables as they are written: `${NAME}` would put a key of the user's into a URL."""
    from dotenv.parser import parse_stream

    try:
        # Some editors begin a file with a byte order mark, which would belong to the first name.
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text; fix or delete it") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}); fix or delete it") from error
    variables: dict[str, str] = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            written = binding.original.string
            line = binding.original.line + written[: -len(written.lstrip())].count("\n")
            raise SettingsError(f"{path}, line {line}, is not NAME=value; fix or delete it")
        if binding.key:
            variables[binding.key] = binding.value or ""
    return variables


def _is_allowed(name: str) -> bool:
    kinds = (_OWN, _KEY, _ENDPOINT, _PROXY)
    return any(kind.fullmatch(name) for kind in kinds) and not _PROGRAM.fullmatch(name)


def _overruled(environ: Mapping[str, str]) -> set[str]:
    """Return the variables that would count before one that the environment sets for the same purpose."""
    from kaizen.store import StoreSettings
    from kaizen.sync import ModelSettings, PhoenixSettings

    overruled: set[str] = set()
    for settings in (StoreSettings, PhoenixSettings, ModelSettings):
        for order in settings.variables().values():
            last = max((place for place, name in enumerate(order) if environ.get(name)), default=0)
            overruled.update(order[:last])
    for together in (_phoenix_places(), *_TOGETHER):
        if any(environ.get(name) for name in together):
            overruled.update(together)
    return overruled


def _phoenix_places() -> tuple[str, ...]:
    from kaizen.sync import PhoenixSettings

    return (*PhoenixSettings.variables()["base_url"], "PHOENIX_HOST", "PHOENIX_PORT")


def _keys(variables: Mapping[str, str]) -> list[str]:
    """Return the names of all keys that there are."""
    others = (*_PHOENIX_KEYS, *_POSTGRES_KEYS)
    return sorted(name for name in variables if variables[name] and (_KEY.fullmatch(name) or name in others))


def _objection(name: str, value: str, own_keys: Sequence[str], user_keys: Sequence[str]) -> str:
    """Return why a variable of the file must not count, or "".

    A place needs a key from the same file, and no key from the environment that would go there as well.
    Phoenix and PostgreSQL are used without a key too.
    """
    if _MODEL.fullmatch(name) and "://" in value:
        return "a model is named, not addressed"
    if name in (*_phoenix_places(), "KAIZEN_PHOENIX_CA"):
        return _blame(key for key in user_keys if key in _PHOENIX_KEYS)
    if name == "KAIZEN_PG_DSN" or (name == "KAIZEN_BACKEND" and value.strip().lower().startswith("postgres")):
        return _blame(key for key in user_keys if key in _POSTGRES_KEYS)
    if _OWN.fullmatch(name) or _KEY.fullmatch(name):
        return ""
    if not _PROXY.fullmatch(name):
        provider = _PROVIDERS.fullmatch(name)
        prefix = f"{provider[1] if provider else name.partition('_')[0]}_"
        own_keys = [key for key in own_keys if key.startswith(prefix)]
        user_keys = [key for key in user_keys if _KEY.fullmatch(key) and not _OWN.fullmatch(key)]
        user_keys = [key for key in user_keys if not provider or key.startswith(prefix)]
    return _blame(user_keys) or ("" if own_keys else "the file has no key for it")


def _blame(user_keys: Iterable[str]) -> str:
    return next((f"{key} is in the environment" for key in user_keys), "")
