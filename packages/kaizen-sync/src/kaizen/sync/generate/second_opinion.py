"""Ask a second model whether tips are safe. It may hold a tip back, and never lets one through."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kaizen.sync.generate.prompt import load_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kaizen.sync.llm.client import Model
    from kaizen.tips.tip import Tip

PROMPT_VERSION = "trust-1"


def with_vetoes(tips: Sequence[Tip], model: Model) -> tuple[Tip, ...]:
    """Return the tips, each with what the model has against it. Raises `ModelError` if it gives no answer."""
    from kaizen.sync.llm.schemas import VetoesAnswer

    if not tips:
        return ()
    answer = model.ask(
        system=load_prompt(PROMPT_VERSION), user=_rendered(tips), answer=VetoesAnswer, name="kaizen_vetoes"
    )
    reasons = {veto.note: veto.reason.strip() or "no reason given" for veto in answer.vetoes}
    return tuple(replace(tip, veto=reasons.get(number, "")) for number, tip in enumerate(tips, 1))


def _rendered(tips: Sequence[Tip]) -> str:
    notes = (
        f"[note {number}]\n" + "\n".join((tip.content, *tip.implementation_steps, tip.trigger, tip.rationale))
        for number, tip in enumerate(tips, 1)
    )
    return "<notes>\n" + "\n\n".join(notes).replace("</notes>", "") + "\n</notes>"
