"""Tell what a failed model call means: for every call, for this prompt, or for nothing but this moment."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from typing import TYPE_CHECKING

from kaizen.sync.errors import (
    ModelAccessError,
    ModelError,
    ModelRefusalError,
    ModelUnavailableError,
    PromptTooLongError,
)
from kaizen.sync.expressions import read_expressions
from kaizen.sync.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator

_BAD_REQUEST = 400
_PAYMENT_REQUIRED = 402
_NOT_FOUND = 404
_TOO_LARGE = 413
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_KEY_REFUSED = frozenset({401, 403})
_TRANSIENT = frozenset({408, 409, 425, 429})

# What LiteLLM says where it lost the provider's words.
_SAYS_NOTHING = re.compile(r"(?:-|Error code: \d+)\s*$")

_KEY_VARIABLES = ("_API_KEY", "_TOKEN", "_SECRET_ACCESS_KEY")
_SHORTEST_KEY = 8  # a shorter value may be part of ordinary words
_MOST_CHARS = 300


class SchemaRefusedError(ModelError):
    """The provider takes no `response_format`: ask with the schema in words."""


def model_error(error: Exception, model: str) -> ModelError:
    """Return the error of ours that one of LiteLLM's means, worded for a person."""
    problem = said(error)[:_MOST_CHARS]
    # From what is certain to what is vague, since one error may fit several.
    if is_filtered(error):
        return ModelRefusalError(f"model '{model}' refuses to answer: {problem}")
    if is_about_key(error):
        return ModelAccessError(
            f"model '{model}' refuses the key ({problem}); set the provider's key variable, "
            "such as OPENAI_API_KEY, or choose another model with KAIZEN_TIPS_MODEL"
        )
    if is_quota_used_up(error):
        return ModelAccessError(
            f"the quota of model '{model}' is used up ({problem}); raise it there, or choose "
            "another model with KAIZEN_TIPS_MODEL"
        )
    if is_too_long(error):
        return PromptTooLongError(
            f"model '{model}' takes no prompt of that length: {problem}; "
            "set KAIZEN_TIPS_MAX_INPUT_TOKENS to what it takes"
        )
    if is_schema_refused(error):
        return SchemaRefusedError(f"model '{model}' takes no response_format: {problem}")
    if is_unknown_model(error):
        return ModelAccessError(
            f"there is no model '{model}' ({problem}); name it as LiteLLM does, such as gpt-4.1-mini "
            "or anthropic/claude-sonnet-4-5, in KAIZEN_TIPS_MODEL, and check the provider's base URL"
        )
    failed = f"model '{model}' failed: {type(error).__name__}: {problem}"
    if is_unavailable(error):
        return ModelUnavailableError(failed, is_busy=_status(error) == _TOO_MANY_REQUESTS)
    if _wording("about_length").search(problem):
        failed += "; if the prompt is too long for it, set KAIZEN_TIPS_MAX_INPUT_TOKENS to what it takes"
    return ModelError(failed)


def is_about_key(error: BaseException) -> bool:
    """Return whether a key is missing or refused; LiteLLM has a type for that with some providers only."""
    return _status(error) in _KEY_REFUSED or bool(_wording("key_missing").search(str(error)))


def is_quota_used_up(error: BaseException) -> bool:
    return _status(error) == _PAYMENT_REQUIRED or _says(error, "quota_used_up")


def is_unknown_model(error: BaseException) -> bool:
    return _status(error) == _NOT_FOUND or "LLM Provider NOT provided" in str(error)


def is_filtered(error: BaseException) -> bool:
    """Return whether a provider's filter refused the prompt or the answer."""
    return _BAD_REQUEST <= _status(error) < _SERVER_ERROR and _says(error, "filtered")


def is_too_long(error: BaseException) -> bool:
    status = _status(error)
    if status == _TOO_MANY_REQUESTS:
        # Most limits of tokens a minute pass; one that a single request exceeds does not.
        return _says(error, "too_large_request")
    return status == _TOO_LARGE or (status >= _BAD_REQUEST and _says(error, "too_long"))


def is_schema_refused(error: BaseException) -> bool:
    return _BAD_REQUEST <= _status(error) < _SERVER_ERROR and _says(error, "schema_refused")


def is_unavailable(error: BaseException) -> bool:
    """Return whether the failure may pass by itself and says nothing about the prompt."""
    if isinstance(error, TimeoutError):
        return True
    passing = _status(error) in _TRANSIENT or _status(error) >= _SERVER_ERROR
    lasting = (is_about_key, is_quota_used_up, is_filtered, is_too_long, is_schema_refused)
    return passing and not any(is_lasting(error) for is_lasting in lasting)


def said(error: object) -> str:
    """Return what an error says in one line, without the keys that some providers repeat in it."""
    text = str(error)
    if isinstance(error, BaseException) and _SAYS_NOTHING.search(text):
        more = (told for told in _texts(error) if told not in text and not _SAYS_NOTHING.search(told))
        text = f"{text} {next(more, '')}"
    text = " ".join(text.split())
    for name, value in os.environ.items():
        if name.endswith(_KEY_VARIABLES) and len(value) >= _SHORTEST_KEY:
            text = text.replace(value, f"[value of {name}]")
    return Redactor().text(text)


def _says(error: BaseException, name: str) -> bool:
    return any(_wording(name).search(text) for text in _texts(error))


@cache
def _wording(name: str) -> re.Pattern[str]:
    return re.compile("|".join(read_expressions("llm/failures.toml")[name]), re.IGNORECASE)


def _texts(error: BaseException) -> Iterator[str]:
    """Yield everything that an error and its causes say: LiteLLM drops the body of some answers."""
    cause: BaseException | None = error
    # Causes may form a circle.
    for _ in range(10):
        if cause is None:
            return
        body = getattr(cause, "body", None)
        for text in (str(cause), getattr(cause, "message", None), body):
            if text:
                yield text if isinstance(text, str) else json.dumps(text, default=str)
        cause = cause.__cause__ or cause.__context__


def _status(error: BaseException) -> int:
    """Return the HTTP status of one of LiteLLM's errors; what never reached a provider is a 500 there."""
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else 0
