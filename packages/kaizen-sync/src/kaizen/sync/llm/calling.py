"""Call LiteLLM's functions: untraced, within a time limit, and again if they failed for a passing reason."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from kaizen.sync.llm.failures import is_unavailable, said
from kaizen.sync.llm.retry import wait_s

if TYPE_CHECKING:
    import tenacity

T = TypeVar("T")

_log = logging.getLogger(__name__)

_LONGEST_WAIT_S = 60.0
_MOST_TIMEOUTS = 2  # a model that was too slow twice will be so again
# A provider's own limit holds for one read; it only has to end the call that nobody waits for any more.
_LATER_S = 5.0


class _TrueZero(int):
    """LiteLLM's embeddings take a plain 0 for not given, and then let the client retry twice."""

    def __bool__(self) -> bool:
        return True


_NO_RETRIES = _TrueZero(0)


def call(
    function: Callable[..., T],
    *,
    attempts: int,
    timeout_s: float,
    stopping: Event | None = None,
    admit: Callable[[], AbstractContextManager[Any]] = nullcontext,
    **arguments: Any,
) -> T:
    """Call one of LiteLLM's functions, untraced, and again if it failed for a passing reason.

    Each attempt is made inside of `admit()`, may take `timeout_s` in all, and no more than two may take so
    long. After `stopping` is set
    there is no other attempt. Raises what the last attempt raised.
    """
    import tenacity

    timeouts = 0

    def attempt() -> T:
        nonlocal timeouts
        try:
            with admit():
                return _in_time(
                    function,
                    timeout_s,
                    timeout=timeout_s + _LATER_S,
                    max_retries=_NO_RETRIES,
                    # Providers refuse parameters that they do not know.
                    drop_params=True,
                    **arguments,
                )
        except TimeoutError:
            timeouts += 1
            raise

    retrying = tenacity.Retrying(
        stop=lambda state: (
            state.attempt_number >= attempts
            or timeouts >= _MOST_TIMEOUTS
            or (stopping is not None and stopping.is_set())
        ),
        wait=_wait,
        sleep=tenacity.sleep_using_event(stopping) if stopping else tenacity.sleep,
        retry=tenacity.retry_if_exception(is_unavailable),
        reraise=True,
        before_sleep=lambda state: _log.info(
            "model call failed, trying again: %s",
            said(state.outcome.exception() if state.outcome else None)[:200],
        ),
    )
    return retrying(attempt)


def _in_time(function: Callable[..., T], seconds: float, **arguments: Any) -> T:
    """Call in a thread of its own, and raise `TimeoutError` if it has not returned after so many seconds.

    HTTP clients limit each read, so that a server that sends a byte a second is never given up. The thread is
    left to itself; it does not keep the process alive.
    """
    result: Future[T] = Future()

    def work() -> None:
        try:
            with _untraced():
                result.set_result(function(**arguments))
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result gets it
            result.set_exception(error)

    # A thread of our own: an executor would wait for it when the process ends.
    Thread(target=work, name="kaizen-model-call", daemon=True).start()
    try:
        return result.result(timeout=seconds)
    except TimeoutError:
        if result.done():
            raise
        raise TimeoutError(f"no whole answer within {seconds:g} s") from None


def import_litellm() -> Any:
    """Import litellm late: it takes seconds, and asks the network for prices unless told not to.

    Outside "production" it also loads the `.env` nearest to where it is installed, whatever that sets.
    """
    if "litellm" not in sys.modules:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    import litellm

    litellm.suppress_debug_info = True
    return litellm


def _untraced() -> AbstractContextManager[Any]:
    """Keep our own calls out of any traces; whoever traces this process has OpenInference loaded."""
    instrumentation = sys.modules.get("openinference.instrumentation")
    return instrumentation.suppress_tracing() if instrumentation is not None else nullcontext()


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
