"""The values that recall works on: tips as they are served, and a snapshot of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from kaizen.recall.index import Index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

CONTROL_SHARE = 0.02


class ServedTip(NamedTuple):
    """What a reader needs of an active tip. All texts are one line each, and hold none of our marks."""

    id: str
    revision: int
    content: str
    steps: tuple[str, ...] = ()
    trigger: str = ""
    task: str = ""
    category: str = ""
    tool: str = ""
    """The tool whose failed call it prevents."""
    tools: Mapping[str, str] = {}
    """The hash of the definition, by name, of each tool that it was learned with."""
    support: int = 0
    is_a_persons: bool = False
    effect: Mapping[str, Any] | None = None
    p: float = 0.0
    """The share of runs that it is held out from."""

    @property
    def ref(self) -> str:
        return f"{self.id}@{self.revision}"

    @property
    def is_proven(self) -> bool:
        low = (self.effect or {}).get("low")
        return isinstance(low, int | float) and low > 0

    @property
    def rank(self) -> tuple[object, ...]:
        """The place among tips that fit equally well: the least comes first."""
        return (not self.is_proven, not self.is_a_persons, -self.support, self.id)


class _Tips(Sequence[ServedTip]):
    """Tips as plain tuples of texts and numbers; each tip is made anew when it is asked for.

    The garbage collector stops looking at such tuples. It looks at 10,000 objects for milliseconds, each time
    that it looks at all there is in the agent.
    """

    def __init__(self, tips: list[Any], pause: Callable[[], None]) -> None:
        """Take the list over. Each tip gives way to its tuple, so that there are never twice as many."""
        self._rows = tips
        for place, tip in enumerate(tips):
            tips[place] = (*tip[:_TOOLS], tuple(tip.tools.items()), *tip[_TOOLS + 1 :])
            pause()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> Any:
        row = self._rows[place]
        return ServedTip._make((*row[:_TOOLS], dict(row[_TOOLS]), *row[_TOOLS + 1 :]))


_TOOLS = ServedTip._fields.index("tools")


class Snapshot:
    """The tips of a namespace, the best backed first, with their index. Never changed.

    `control_share` is the share of units that are shown no tip at all, so that the effect of all tips
    together can be measured; 0 if no tip is ever held out: then there is no experiment. `pause` is
    called often while all is put in order, so that a background thread can let others run.
    """

    def __init__(
        self,
        tips: Iterable[ServedTip],
        *,
        namespace_id: str = "kaizen",
        digest: str = "",
        salt: str = "kaizen",
        control_share: float = CONTROL_SHARE,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        def rank(tip: ServedTip) -> tuple[object, ...]:
            pause()
            return tip.rank

        self.tips: Sequence[ServedTip] = _Tips(sorted(tips, key=rank), pause)
        self.index = Index(self.tips, pause)
        self.namespace_id = namespace_id
        self.digest = digest
        self.salt = salt
        self.control_share = control_share if any(tip.p for tip in self.tips) else 0.0
