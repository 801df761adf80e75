"""Ask models, here and nowhere else: structured answers through LiteLLM, with retries and a time limit."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache, cached_property
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from kaizen.sync.cleaning import clean_text
from kaizen.sync.errors import ModelError, ModelRefusalError, ModelUnavailableError, UnusableAnswerError
from kaizen.sync.llm.answers import CUT_OFF, Found, find_answer, find_at_end
from kaizen.sync.llm.calling import call, import_litellm
from kaizen.sync.llm.failures import SchemaRefusedError, model_error, said
from kaizen.sync.model import Usage
from kaizen.sync.settings import OFFLINE

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kaizen.sync.llm.schemas import Answer
    from kaizen.sync.settings import ModelSettings

A = TypeVar("A", bound="Answer")

_log = logging.getLogger(__name__)

CHARS_PER_TOKEN = 4  # of English; other languages have more tokens

_PING_TIMEOUT_S = 20.0
_SERVER_ERROR = 500
_TOO_MANY_REQUESTS = 429
_MOST_SENT_BACK_CHARS = 4_000  # enough to see what was wrong with it

_IN_WORDS = "\n\nAnswer with one JSON object `{name}` of this JSON schema and nothing else:\n{schema}"
_REASK = "That was no JSON object of the given schema ({problem}). Answer again, with the JSON object alone."
_SHORTER = "That answer was cut off at its greatest length. Answer again, in far fewer words."
_THE_REST = (
    "That answer was cut off at its greatest length; {count} entries of `{key}` were complete. Answer with "
    "the entries that were to follow, in fewer words, as an object of the same schema."
)


@dataclass(slots=True)
class Meter:
    """Count what the model calls of one run used, and admit each; safe for threads.

    Each attempt at a call is made inside of `admit()`, which may wait, or raise a `ModelError`.
    """

    calls: int = 0
    unpriced_calls: int = 0
    cost_usd: float = 0.0
    usage: Usage = field(default_factory=Usage)
    admit: Callable[[], AbstractContextManager[Any]] = nullcontext
    _lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, usage: Usage, cost_usd: float | None) -> None:
        """Count one call; its cost is None if no price is known."""
        with self._lock:
            self.calls += 1
            self.usage += usage
            self.cost_usd += cost_usd or 0.0
            self.unpriced_calls += cost_usd is None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    """What a model answered: its text, arguments of tool calls, thinking, and why it ended or refused."""

    content: str = ""
    arguments: tuple[str, ...] = ()
    reasoning: str = ""
    is_cut: bool = False
    refusal: str = ""
    reason: str = ""
    is_unavailable: bool = False
    is_busy: bool = False

    @classmethod
    def of(cls, response: Any) -> _Reply:
        choice = (getattr(response, "choices", None) or [None])[0]
        message = getattr(choice, "message", None)
        if choice is None or message is None:
            return cls()
        more = getattr(choice, "provider_specific_fields", None) or {}
        # Proxies put an error of the provider behind them beside an empty text.
        error: Any = more.get("error")
        error = error if isinstance(error, dict) else {}
        code = error.get("code")
        finish = str(choice.finish_reason or "")
        reason = error.get("message") or more.get("native_finish_reason") or finish
        filtered = f"content filter ({reason})" if finish == "content_filter" else ""
        return cls(
            content=clean_text(message.content or ""),
            arguments=tuple(c.function.arguments or "" for c in message.tool_calls or () if c.function),
            reasoning=getattr(message, "reasoning_content", None) or "",
            is_cut=finish == "length",
            refusal=getattr(message, "refusal", None) or filtered,
            reason="" if reason in ("stop", "tool_calls") else str(reason),
            is_unavailable=isinstance(code, int) and (code >= _SERVER_ERROR or code == _TOO_MANY_REQUESTS),
            is_busy=code == _TOO_MANY_REQUESTS,
        )

    def find(self, answer: type[BaseModel]) -> Found:
        """Find the answer in the text, the arguments of a tool call, or else at the end of the thinking."""
        texts = [text for text in (self.content, *self.arguments) if text.strip()]
        found = [find_answer(text, answer, is_cut=self.is_cut) for text in texts]
        if not texts and self.reasoning.strip() and not self.is_cut:
            found = [find_at_end(self.reasoning, answer)]
        usable = [one for one in found if not one.problem]
        if usable or found:
            return [*usable, *found][0]
        if self.is_cut:
            return Found(problem="it was cut off before it began", is_cut=True)
        return Found(problem=f"an empty answer ({self.reason})" if self.reason else "an empty answer")


class Model:
    """One model by its LiteLLM name. Safe for threads. `offline` is no model and never asked.

    After `stopping` is set nothing is asked again: what failed or is unusable raises `ModelUnavailableError`.
    """

    def __init__(
        self,
        name: str,
        settings: ModelSettings,
        meter: Meter | None = None,
        *,
        stopping: Event | None = None,
    ) -> None:
        self.name = name
        self.meter = meter or Meter()
        self.settings = settings
        self._stopping = stopping
        self._schema_refused = False

    @property
    def is_offline(self) -> bool:
        return self.name == OFFLINE

    def ask(self, *, system: str, user: str, answer: type[A], name: str) -> A:
        """Ask for a JSON object of that type, called `name`; ask once more if the answer is unusable or cut.

        The schema goes along as `response_format` if the model and its provider take it, else in the prompt.
        Entries that do not fit, or were cut off, are counted in the answer's `dropped`.

        Raises `ModelUnavailableError` if the model cannot be reached now, `ModelAccessError` if it refuses
        every call, `PromptTooLongError`, `ModelRefusalError`, `UnusableAnswerError`, else `ModelError`.
        """
        asked = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        reply, found = self._found(asked, answer, name)
        if not found.is_whole:
            if self._stopping and self._stopping.is_set():
                raise ModelUnavailableError(f"model '{self.name}' was not asked again: the sync was stopped")
            _, found = self._found([*asked, *_asking_again(reply, found, answer)], answer, name, before=found)
        if found.problem and not found.entries:
            problem = said(found.problem)
            raise UnusableAnswerError(f"model '{self.name}' gave no usable answer, asked twice: {problem}")
        return answer.of(found.entries, found.dropped + Counter({CUT_OFF: int(not found.is_whole)}))

    def ping(self) -> str:
        """Ask for one word, once and for 20 s at most, and return the answer; raises as `ask` does."""
        limits = {"timeout_s": min(self.settings.timeout_s, _PING_TIMEOUT_S), "attempts": 1}
        hurried = Model(
            self.name, self.settings.model_copy(update=limits), self.meter, stopping=self._stopping
        )
        return hurried._complete([{"role": "user", "content": "Answer with the word: ready"}], None).content

    def is_up(self) -> bool:
        """Whether it answers a `ping`."""
        try:
            self.ping()
        except ModelError:
            return False
        return True

    def price_usd(self, usage: Usage) -> float | None:
        """Return what so many tokens cost by LiteLLM's table; None if it does not know the model."""
        if self.is_offline:
            return 0.0
        tokens = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
        found = self._look_up("cost_per_token", **tokens)
        return None if found is None else float(sum(found))

    @cached_property
    def max_input_tokens(self) -> int | None:
        """Return how many tokens a prompt may have by LiteLLM's table; None if it does not know the model."""
        info = self._look_up("get_model_info") or {}
        return info.get("max_input_tokens") or None

    def _look_up(self, function: str, **arguments: Any) -> Any:
        """Return what a function of LiteLLM's finds in its table; None if it does not know the model."""
        litellm, provider = import_litellm(), self.settings.custom_llm_provider
        try:
            return getattr(litellm, function)(model=self.name, custom_llm_provider=provider, **arguments)
        except Exception:  # noqa: BLE001 - it raises whatever its lookup happens to raise
            return None

    @cached_property
    def _supports_schema(self) -> bool:
        litellm = import_litellm()
        return bool(
            litellm.supports_response_schema(
                model=self.name, custom_llm_provider=self.settings.custom_llm_provider
            )
        )

    def _found(
        self, messages: list[dict[str, str]], answer: type[A], name: str, *, before: Found | None = None
    ) -> tuple[_Reply, Found]:
        """Ask, and find the answer, added to the one `before`; a refusal is raised if there is nothing."""
        reply = self._reply(messages, answer, name)
        found = reply.find(answer)
        if before:
            found = before.followed_by(found)
        if found.problem and reply.refusal and not found.entries:
            raise ModelRefusalError(f"model '{self.name}' refuses to answer: {said(reply.refusal)}")
        return reply, found

    def _reply(self, messages: list[dict[str, str]], answer: type[A], name: str) -> _Reply:
        # LiteLLM may change what it is given, and the schema is made once.
        schema = deepcopy(schema_of(answer))
        if self._supports_schema and not self._schema_refused:
            try:
                wanted = {"name": name, "schema": schema, "strict": True}
                return self._complete(messages, {"type": "json_schema", "json_schema": wanted})
            except SchemaRefusedError as error:
                _log.info("%s; asking with the schema in words from now on", error)
                # Not tried again, since each refusal costs a call.
                self._schema_refused = True
        system = messages[0]["content"] + _IN_WORDS.format(name=name, schema=json.dumps(schema, indent=1))
        return self._complete([{"role": "system", "content": system}, *messages[1:]], None)

    def _complete(self, messages: list[dict[str, str]], response_format: dict[str, Any] | None) -> _Reply:
        try:
            response = call(
                import_litellm().completion,
                attempts=self.settings.attempts,
                timeout_s=self.settings.timeout_s,
                stopping=self._stopping,
                admit=self.meter.admit,
                model=self.name,
                messages=messages,
                response_format=response_format,
                custom_llm_provider=self.settings.custom_llm_provider,
            )
        except ModelError:  # it was not admitted
            raise
        except Exception as error:  # litellm's errors share no root, and providers' own come through
            raise model_error(error, self.name) from error
        told = getattr(response, "usage", None)
        usage = Usage(
            prompt_tokens=getattr(told, "prompt_tokens", 0) or 0,
            completion_tokens=getattr(told, "completion_tokens", 0) or 0,
        )
        self.meter.add(usage, self.price_usd(usage))
        reply = _Reply.of(response)
        if reply.is_unavailable and not reply.content:
            problem = f"model '{self.name}' failed: {said(reply.reason)}"
            raise ModelUnavailableError(problem, is_busy=reply.is_busy)
        return reply


def count_tokens(text: str) -> int:
    """Count with LiteLLM's tokenizer (cl100k) if litellm is loaded anyway; else by four characters."""
    litellm = sys.modules.get("litellm")
    return len(litellm.encode(text=text)) if litellm else -(-len(text) // CHARS_PER_TOKEN)


def counted_by() -> Literal["cl100k", "characters"]:
    """Return how `count_tokens` counts now."""
    return "cl100k" if "litellm" in sys.modules else "characters"


@cache
def schema_of(answer: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of an answer: the same object each time, not to be changed."""
    return answer.model_json_schema()


def _asking_again(reply: _Reply, found: Found, answer: type[Answer]) -> list[dict[str, str]]:
    """Return the messages that follow an answer that is cut off or unusable."""
    if found.is_cut and found.entries:
        kept = answer.of(found.entries).model_dump_json()
        request = _THE_REST.format(count=len(found.entries), key=next(iter(answer.model_fields)))
    else:
        kept = reply.content[:_MOST_SENT_BACK_CHARS]
        request = _SHORTER if found.is_cut else _REASK.format(problem=found.problem)
    return [{"role": "assistant", "content": kept or "(nothing)"}, {"role": "user", "content": request}]
