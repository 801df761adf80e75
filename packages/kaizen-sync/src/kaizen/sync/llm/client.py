"""The one place that calls models: structured answers through LiteLLM, with retries and a time limit."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache, cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from kaizen.sync.errors import ModelAccessError, ModelError, PromptTooLongError, UnusableAnswerError
from kaizen.sync.llm.retry import wait_s
from kaizen.sync.model import Usage
from kaizen.sync.redact import Redactor
from kaizen.sync.settings import OFFLINE

if TYPE_CHECKING:
    import tenacity
    from pydantic import BaseModel

    from kaizen.sync.settings import ModelSettings

A = TypeVar("A", bound="BaseModel")

_log = logging.getLogger(__name__)

CHARS_PER_TOKEN = 4

_LONGEST_WAIT_S = 60.0
_NOT_FOUND = 404
_KEY_REFUSED = frozenset({401, 403})
_KEY_MISSING = re.compile(r"(?i)missing (?:\w+ ){0,2}(?:credentials|api[ _-]?key)")
_QUOTA_USED_UP = re.compile(r"(?i)insufficient_quota|exceeded your current quota|credit balance is too low")
_KEY_VARIABLES = ("_API_KEY", "_TOKEN", "_SECRET_ACCESS_KEY")
_SHORTEST_KEY = 8
_TRANSIENT = frozenset({408, 409, 425, 429})
_SERVER_ERROR = 500
# Repairing what is no JSON takes time that grows with the square of its length.
_REPAIRABLE_CHARS = 40_000
_REASK = "That was no JSON object of the given schema ({problem}). Answer again, with the JSON object alone."


class _TrueZero(int):
    """LiteLLM's embeddings take a plain 0 for not given, and then let the client retry twice."""

    def __bool__(self) -> bool:
        return True


_NO_RETRIES = _TrueZero(0)


@dataclass(slots=True)
class Meter:
    """What the model calls of one run used; safe for threads."""

    calls: int = 0
    unpriced_calls: int = 0
    cost_usd: float = 0.0
    usage: Usage = field(default_factory=Usage)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, usage: Usage, cost_usd: float | None) -> None:
        """Count one call; its cost is None where no price is known."""
        with self._lock:
            self.calls += 1
            self.usage += usage
            self.cost_usd += cost_usd or 0.0
            self.unpriced_calls += cost_usd is None


class Model:
    """One model by its LiteLLM name. Safe for threads. One that `is_offline` is none, and never asked."""

    def __init__(self, name: str, settings: ModelSettings, meter: Meter | None = None) -> None:
        self.name = name
        self.meter = meter or Meter()
        self.settings = settings

    @property
    def is_offline(self) -> bool:
        return self.name == OFFLINE

    def ask(self, *, system: str, user: str, answer: type[A], name: str) -> A:
        """Ask for one JSON object of that type, called `name`, and ask once more where the answer is none.

        The schema goes along as `response_format` where the model supports it, and in the prompt where it
        does not. Raises `ModelAccessError` where the model refuses every call, `UnusableAnswerError` where
        its answers are of no use, `PromptTooLongError`, and `ModelError` otherwise.
        """
        native = self._supports_schema()
        schema = deepcopy(_schema(answer))
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        if not native:
            messages[0]["content"] += _schema_in_words(schema, name)
        problem = ""
        for _ in range(2):
            text = self._complete(messages, _response_format(schema, name) if native else None)
            parsed = parse_answer(text, answer)
            if not isinstance(parsed, str):
                return parsed
            problem = parsed
            messages = [
                *messages,
                {"role": "assistant", "content": text or "(nothing)"},
                {"role": "user", "content": _REASK.format(problem=problem)},
            ]
        raise UnusableAnswerError(f"model '{self.name}' gave no usable answer, asked twice: {problem}")

    def ping(self) -> str:
        """Ask for one word, and return the answer; raises as `ask` does."""
        return self._complete([{"role": "user", "content": "Answer with the word: ready"}], None)

    def price_usd(self, usage: Usage) -> float | None:
        """What so many tokens cost by LiteLLM's table; None where it does not know the model."""
        if self.is_offline:
            return 0.0
        try:
            prompt, completion = import_litellm().cost_per_token(
                model=self.name,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                custom_llm_provider=self.settings.custom_llm_provider,
            )
        except Exception:  # noqa: BLE001 - it raises whatever its lookup happens to raise
            return None
        return float(prompt + completion)

    @cached_property
    def max_input_tokens(self) -> int | None:
        """How many tokens a prompt may have by LiteLLM's table; None where it does not know the model."""
        try:
            info = import_litellm().get_model_info(
                model=self.name, custom_llm_provider=self.settings.custom_llm_provider
            )
        except Exception:  # noqa: BLE001 - it raises whatever its lookup happens to raise
            return None
        return info.get("max_input_tokens") or None

    def _supports_schema(self) -> bool:
        litellm = import_litellm()
        return bool(
            litellm.supports_response_schema(
                model=self.name, custom_llm_provider=self.settings.custom_llm_provider
            )
        )

    def _complete(self, messages: list[dict[str, str]], response_format: dict[str, Any] | None) -> str:
        try:
            response = call(
                import_litellm().completion,
                attempts=self.settings.attempts,
                model=self.name,
                messages=messages,
                response_format=response_format,
                custom_llm_provider=self.settings.custom_llm_provider,
                timeout=self.settings.timeout_s,
            )
        except Exception as error:  # litellm's errors share no root, and providers' own come through
            raise self._wrapped(error) from error
        told = getattr(response, "usage", None)
        usage = Usage(
            prompt_tokens=getattr(told, "prompt_tokens", 0) or 0,
            completion_tokens=getattr(told, "completion_tokens", 0) or 0,
        )
        self.meter.add(usage, self.price_usd(usage))
        choices = getattr(response, "choices", None)
        return (choices[0].message.content or "") if choices else ""

    def _wrapped(self, error: Exception) -> ModelError:
        problem = said(error)[:300]
        if is_about_key(error):
            return ModelAccessError(
                f"model '{self.name}' refuses the key ({problem}); set the provider's key variable, "
                "such as OPENAI_API_KEY, or choose another model with KAIZEN_TIPS_MODEL"
            )
        if isinstance(error, import_litellm().ContextWindowExceededError):
            return PromptTooLongError(f"model '{self.name}' takes no prompt of that length: {problem}")
        if _QUOTA_USED_UP.search(str(error)):
            return ModelAccessError(
                f"the quota of model '{self.name}' is used up ({problem}); raise it there, or choose "
                "another model with KAIZEN_TIPS_MODEL"
            )
        if is_unknown_model(error):
            return ModelAccessError(
                f"there is no model '{self.name}' ({problem}); name it as LiteLLM does, such as gpt-4.1-mini "
                "or anthropic/claude-sonnet-4-5, in KAIZEN_TIPS_MODEL, and check the provider's base URL"
            )
        return ModelError(f"model '{self.name}' failed: {type(error).__name__}: {problem}")


def call(function: Callable[..., Any], *, attempts: int, **arguments: Any) -> Any:
    """Call one of LiteLLM's functions, untraced, and again where it failed for a passing reason."""
    import tenacity

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(attempts),
        wait=_wait,
        retry=tenacity.retry_if_exception(_is_transient),
        reraise=True,
        before_sleep=lambda state: _log.info(
            "model call failed, trying again: %s",
            said(state.outcome.exception() if state.outcome else None)[:200],
        ),
    )
    with _untraced():
        return retrying(function, **arguments, max_retries=_NO_RETRIES, drop_params=True)


def import_litellm() -> Any:
    """Import litellm late: it takes seconds, and asks the network for prices unless told not to."""
    if "litellm" not in sys.modules:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.suppress_debug_info = True
    return litellm


def count_tokens(text: str) -> int:
    """Count with LiteLLM's tokenizer (cl100k) if litellm is loaded anyway; else by four characters."""
    litellm = sys.modules.get("litellm")
    return len(litellm.encode(text=text)) if litellm else -(-len(text) // CHARS_PER_TOKEN)


def counted_by() -> Literal["cl100k", "characters"]:
    """Return how `count_tokens` counts now."""
    return "cl100k" if "litellm" in sys.modules else "characters"


def _untraced() -> AbstractContextManager[Any]:
    """Keep our own calls out of any traces; whoever traces this process has OpenInference loaded."""
    instrumentation = sys.modules.get("openinference.instrumentation")
    return instrumentation.suppress_tracing() if instrumentation is not None else nullcontext()


def _status(error: BaseException) -> int:
    """The HTTP status of one of LiteLLM's errors; what never reached a provider is a 500 there."""
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else 0


def is_about_key(error: BaseException) -> bool:
    """Whether a key is missing or refused; LiteLLM has a type for that with some providers only."""
    return _status(error) in _KEY_REFUSED or bool(_KEY_MISSING.search(str(error)))


def is_unknown_model(error: BaseException) -> bool:
    return _status(error) == _NOT_FOUND or "LLM Provider NOT provided" in str(error)


def _is_transient(error: BaseException) -> bool:
    status = _status(error)
    will_not_change = is_about_key(error) or _QUOTA_USED_UP.search(str(error))
    return (status in _TRANSIENT or status >= _SERVER_ERROR) and not will_not_change


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    headers = getattr(error, "litellm_response_headers", None) or getattr(
        getattr(error, "response", None), "headers", None
    )
    return wait_s(
        state,
        headers.get("retry-after") if headers else None,
        longest_asked_s=_LONGEST_WAIT_S,
        first_s=0.5,
        longest_s=20.0,
        jitter_s=0.5,
    )


def said(error: BaseException | None) -> str:
    """What an error says in one line, without the keys that some providers repeat in it."""
    text = " ".join(str(error).split())
    for name, value in os.environ.items():
        if name.endswith(_KEY_VARIABLES) and len(value) >= _SHORTEST_KEY:
            text = text.replace(value, f"[value of {name}]")
    return Redactor().text(text)


@cache
def _schema(answer: type[BaseModel]) -> dict[str, Any]:
    return answer.model_json_schema()


def _response_format(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}


def _schema_in_words(schema: Mapping[str, Any], name: str) -> str:
    return (
        f"\n\nAnswer with one JSON object `{name}` of this JSON schema and nothing else:\n"
        f"{json.dumps(schema, indent=1)}"
    )


def parse_answer(text: str, answer: type[A]) -> A | str:
    """The answer as a value of that type, its JSON repaired where needed, or what is wrong with it."""
    if "{" not in text:
        return "no JSON in it" if text.strip() else "an empty answer"
    import pydantic

    # Models that think aloud use braces before they answer.
    first = re.escape(next(iter(answer.model_fields)))
    found = re.search(rf"\{{\s*[\"']{first}[\"']", text)
    value = _loads(text[found.start() if found else text.index("{") :])
    if isinstance(value, list):
        value = next((item for item in value if isinstance(item, dict)), None)
    try:
        return answer.model_validate(value)
    except pydantic.ValidationError as error:
        problem = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, problem['loc'])) or 'the answer'}: {problem['msg']}"


def _loads(text: str) -> Any:
    """The JSON value that the text begins with, repaired where needed; None where there is none."""
    import json_repair

    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        pass
    if len(text) > _REPAIRABLE_CHARS:
        return None
    try:
        return json_repair.loads(text)
    except RecursionError:
        return None
