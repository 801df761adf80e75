"""The one place that calls a model: structured answers through LiteLLM, with retries and a time limit."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from kaizen.sync.errors import ModelAccessError, ModelError
from kaizen.sync.model import Usage
from kaizen.sync.phoenix import retry_after_s

if TYPE_CHECKING:
    import tenacity
    from pydantic import BaseModel

    from kaizen.sync.settings import ModelSettings

A = TypeVar("A", bound="BaseModel")

_log = logging.getLogger(__name__)

_LONGEST_WAIT_S = 60.0
_REASK = "That was no JSON object of the given schema ({problem}). Answer again, with the JSON object alone."


@dataclass(slots=True)
class Meter:
    """What the model calls of one run used; safe for threads."""

    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, usage: Usage) -> None:
        with self._lock:
            self.calls += 1
            self.usage += usage


class Model:
    """One model by its LiteLLM name. Safe for threads."""

    def __init__(self, name: str, settings: ModelSettings, meter: Meter | None = None) -> None:
        self.name = name
        self.meter = meter or Meter()
        self._settings = settings

    def ask(self, *, system: str, user: str, answer: type[A], name: str) -> A:
        """Ask for one JSON object of that type, called `name`, and ask once more where the answer is none.

        The schema goes along as `response_format` where the model supports it, and in the prompt where it
        does not. Raises `ModelAccessError` where the model refuses every call, `ModelError` otherwise.
        """
        native = self._supports_schema()
        schema = answer.model_json_schema()
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
        raise ModelError(f"model '{self.name}' gave no usable answer, asked twice: {problem}")

    def ping(self) -> str:
        """Ask for one word, and return the answer; raises as `ask` does."""
        return self._complete([{"role": "user", "content": "Answer with the word: ready"}], None)

    def _supports_schema(self) -> bool:
        litellm = _litellm()
        return bool(
            litellm.supports_response_schema(
                model=self.name, custom_llm_provider=self._settings.custom_llm_provider
            )
        )

    def _complete(self, messages: list[dict[str, str]], response_format: dict[str, Any] | None) -> str:
        import tenacity

        litellm = _litellm()
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._settings.attempts),
            wait=_wait,
            retry=tenacity.retry_if_exception(_is_transient),
            reraise=True,
            before_sleep=lambda state: _log.info("model call failed, trying again: %s", _said(state)),
        )
        try:
            with _untraced():
                response = retrying(
                    litellm.completion,
                    model=self.name,
                    messages=messages,
                    response_format=response_format,
                    custom_llm_provider=self._settings.custom_llm_provider,
                    timeout=self._settings.timeout_s,
                    max_retries=0,
                    drop_params=True,
                )
        except Exception as error:  # litellm's errors share no root, and providers' own come through
            raise self._wrapped(error) from error
        usage = getattr(response, "usage", None)
        self.meter.add(
            Usage(
                prompt_tokens=getattr(usage, "prompt_tokens", 0) or 0,
                completion_tokens=getattr(usage, "completion_tokens", 0) or 0,
            )
        )
        choices = getattr(response, "choices", None)
        return (choices[0].message.content or "") if choices else ""

    def _wrapped(self, error: Exception) -> ModelError:
        said = " ".join(str(error).split())[:300]
        name = type(error).__name__
        if name in ("AuthenticationError", "PermissionDeniedError"):
            return ModelAccessError(
                f"model '{self.name}' refuses the key ({said}); set the provider's key variable, "
                "such as OPENAI_API_KEY, or choose another model with KAIZEN_TIPS_MODEL"
            )
        if name == "NotFoundError" or "LLM Provider NOT provided" in said:
            return ModelAccessError(
                f"there is no model '{self.name}' ({said}); name it as LiteLLM does, such as gpt-4.1-mini or "
                "anthropic/claude-sonnet-4-5, in KAIZEN_TIPS_MODEL"
            )
        return ModelError(f"model '{self.name}' failed: {name}: {said}")


def _litellm() -> Any:
    """Import litellm late: it takes seconds, and asks the network for prices unless told not to."""
    if "litellm" not in sys.modules:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.suppress_debug_info = True
    return litellm


def _untraced() -> AbstractContextManager[Any]:
    """Keep our own calls out of any traces; whoever traces this process has OpenInference loaded."""
    instrumentation = sys.modules.get("openinference.instrumentation")
    return instrumentation.suppress_tracing() if instrumentation is not None else nullcontext()


def _is_transient(error: BaseException) -> bool:
    return type(error).__name__ in (
        "APIConnectionError",
        "InternalServerError",
        "RateLimitError",
        "ServiceUnavailableError",
        "Timeout",
        "BadGatewayError",
        "APIError",
    )


def _wait(state: tenacity.RetryCallState) -> float:
    import tenacity

    error = state.outcome.exception() if state.outcome else None
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    asked = retry_after_s(headers.get("retry-after"), time.time)
    if asked is not None:
        return min(asked, _LONGEST_WAIT_S)
    return tenacity.wait_exponential_jitter(initial=0.5, max=20.0, jitter=0.5)(state)


def _said(state: tenacity.RetryCallState) -> str:
    return str(state.outcome.exception())[:200] if state.outcome else ""


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
    import json_repair
    import pydantic

    value = json_repair.loads(text[text.index("{") :])
    if isinstance(value, list):
        value = next((item for item in value if isinstance(item, dict)), None)
    try:
        return answer.model_validate(value)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the answer'}: {first['msg']}"
