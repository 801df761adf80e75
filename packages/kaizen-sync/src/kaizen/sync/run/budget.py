"""How much a run may take and spend, and why it stops."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from kaizen.sync.errors import ModelAccessError, ModelError, ModelUnavailableError, Outage, SettingsError
from kaizen.sync.model import Usage
from kaizen.sync.stopping import StopFlag

if TYPE_CHECKING:
    from collections.abc import Callable

    from kaizen.sync.llm.client import Meter
    from kaizen.sync.settings import ModelSettings, SyncSettings

T = TypeVar("T")

STOPPED = "sync was stopped"
OVER_BUDGET = "beyond --max-cost-usd"
OVER_LIMIT = "beyond --limit"
REFUSED = "the model refuses every call"
UNAVAILABLE = "the model is unavailable"

# One may be a hiccup; each may take the time limit of a call twice.
_MOST_OUTAGES = 3


class Budget:
    """Counts the traces that a run takes. Any thread may ask it, stop it, or call a model through it.

    `stopping` is set once the run is to stop.
    """

    def __init__(self, settings: SyncSettings, meter: Meter) -> None:
        self._limit = settings.limit
        self._max_cost_usd = settings.max_cost_usd
        self._meter = meter
        self.stopping = StopFlag()
        self.traces = 0
        self._halting: ModelError | None = None
        self._outage = Outage()
        self._outages: list[Outage] = []
        self._lock = threading.Lock()

    @property
    def is_stopped(self) -> bool:
        return self.stopping.is_set()

    @property
    def refusal(self) -> str:
        """The first error of a model that refuses every call or was unavailable; empty if none did."""
        errors = (outage.error for outage in self._outages if not outage.is_up)
        return next(errors, str(self._halting or ""))

    def stop(self) -> None:
        """Take no more traces and start no more model calls."""
        self.stopping.set()

    def ask(self, call: Callable[[], T], is_up: Callable[[], bool]) -> T:
        """Call a model; start no more calls once it refused one, or is unavailable.

        It is unavailable if three calls in a row found it so and `is_up` says no. Raises what the call
        raises, or else the error that ended the calls.
        """
        if error := self._halting:
            # A new one, since a traceback grows each time the same error is raised.
            raise type(error)(str(error))
        try:
            answer = call()
        except ModelAccessError as error:
            self._halt(error)
            raise
        except ModelUnavailableError as error:
            self._note(error, is_up)
            raise
        except ModelError:
            # It is there: what it says is about one trace.
            self._outage = Outage()
            raise
        self._outage = Outage()
        return answer

    def end(self, is_up: Callable[[], bool]) -> None:
        """Judge the other calls too that found the model unavailable, if it was up for three in a row."""
        if self.halt_reason() or not any(outage.is_up for outage in self._outages):
            return
        for outage in self._outages:
            # An answer ended all but the last one.
            outage.is_up = outage is not self._outage or is_up()

    def waiting_reason(self, error: ModelError) -> str:
        """Return why a story waits whose call raised that error."""
        if isinstance(error, ModelAccessError):
            return REFUSED
        return STOPPED if self.is_stopped else UNAVAILABLE

    def _halt(self, error: ModelError) -> None:
        self._halting = self._halting or error

    def _note(self, error: ModelUnavailableError, is_up: Callable[[], bool]) -> None:
        if self.is_stopped:
            # It was not asked again, which it might have answered.
            return
        # One thread at a time asks whether the model is up.
        with self._lock:
            if self._halting:
                return
            error.outage = outage = self._outage
            outage.calls += 1
            if outage.calls == 1:
                outage.error = str(error)
                self._outages.append(outage)
            if outage.calls < _MOST_OUTAGES:
                return
            outage.is_up = not error.is_busy and is_up()
            if outage.is_up:
                self._outage = Outage()
            else:
                self._halt(error)

    def take_trace(self) -> None:
        """Count one trace towards `limit`."""
        self.traces += 1

    def full_reason(self) -> str:
        """Return why no more traces may be taken; empty while there is room."""
        why = self.halt_reason()
        is_over = self._limit is not None and self.traces >= self._limit
        return OVER_LIMIT if is_over and why in ("", OVER_BUDGET) else why

    def halt_reason(self) -> str:
        """Return why no work is started on traces that were taken; empty while it goes on."""
        if self.is_stopped:
            return STOPPED
        if self._halting:
            return self.waiting_reason(self._halting)
        is_over = self._max_cost_usd is not None and self._meter.cost_usd >= self._max_cost_usd
        return OVER_BUDGET if is_over else ""


def check_price(settings: SyncSettings, models: ModelSettings) -> None:
    """Raise `SettingsError` if `max_cost_usd` is set and the price of a model is not known."""
    if settings.max_cost_usd is None:
        return
    from kaizen.sync.llm.client import Model

    for name in dict.fromkeys((models.tips_model, models.reconcile_model)):
        if Model(name, models).price_usd(Usage(prompt_tokens=1)) is None:
            raise SettingsError(
                f"the price of model '{name}' is not known, so --max-cost-usd cannot be kept; "
                "use --max-traces instead"
            )
