"""How much a run may take and spend, and why it stops."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from kaizen.sync.errors import SettingsError
from kaizen.sync.model import Usage

if TYPE_CHECKING:
    from kaizen.sync.errors import ModelAccessError
    from kaizen.sync.llm.client import Meter
    from kaizen.sync.settings import ModelSettings, SyncSettings

STOPPED = "sync was stopped"
OVER_BUDGET = "beyond --max-cost-usd"
OVER_LIMIT = "beyond --limit"
REFUSED = "the model refuses every call"


class Budget:
    """Counts the traces that a run takes. Any thread may ask it, stop it, or note a refusal."""

    def __init__(self, settings: SyncSettings, meter: Meter) -> None:
        self._limit = settings.limit
        self._max_cost_usd = settings.max_cost_usd
        self._meter = meter
        self._stopping = threading.Event()
        self.traces = 0
        self.refusal = ""

    @property
    def is_stopped(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Take no more traces and start no more model calls."""
        self._stopping.set()

    def note_refusal(self, error: ModelAccessError) -> None:
        """Start no more model calls, since the model refuses them; keep the first error."""
        self.refusal = self.refusal or str(error)

    def take_trace(self) -> None:
        """Count one trace towards `limit`."""
        self.traces += 1

    def full_reason(self) -> str:
        """Return why no more traces may be taken; empty while there is room."""
        is_over = self._limit is not None and self.traces >= self._limit
        return OVER_LIMIT if is_over and not (self.is_stopped or self.refusal) else self.halt_reason()

    def halt_reason(self) -> str:
        """Return why no work is started on traces that were taken; empty while it goes on."""
        if self.is_stopped:
            return STOPPED
        if self.refusal:
            return REFUSED
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
