"""Choose the tips for a run: first those about its tools, then those that fit its words. Pure, and the same
for the same request whatever happened before.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from kaizen.recall.placing import TOKENS_AROUND
from kaizen.recall.tools import bare_name, is_same_tool
from kaizen.recall.words import query_stems

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kaizen.recall.index import Index
    from kaizen.recall.model import ServedTip, Snapshot

# Chosen with benchmarks/recall.py: what fits less, alone or beside the best one, is about something else.
LEAST_SCORE = 0.95
_LEAST_SHARE_OF_BEST = 0.5
_INSTRUCTIONS_WEIGHT = 0.3
# How many tips are looked at, of a tool and of those that share words: enough to find some that have room.
_LOOKED_AT = 20


class Request(NamedTuple):
    """What a run is about: its first user message, its instructions, and the tools that it is offered.

    `tools` are the versions of the definitions by name, as `offered_tools` returns them; None if unknown.
    """

    task: str
    instructions: str = ""
    tools: Mapping[str, str] | None = None


class Budget(NamedTuple):
    """How much is shown at most. `tokens` counts all that is written into the prompt."""

    tokens: int = 600
    tips: int = 8
    per_tool: int = 5


class Candidate(NamedTuple):
    """A tip that fits, why, and what it costs; `rejected` says why it is not chosen."""

    tip: ServedTip
    tool: str
    """The offered tool whose description it goes into; empty for one that goes into the instructions."""
    score: float
    tokens: int = 0
    rejected: str = ""


def choose(snapshot: Snapshot, request: Request, budget: Budget | None = None) -> list[Candidate]:
    """Return the tips to show, in the order in which they are shown."""
    return [candidate for candidate in consider(snapshot, request, budget) if not candidate.rejected]


def consider(snapshot: Snapshot, request: Request, budget: Budget | None = None) -> Iterator[Candidate]:
    """Yield the tips that fit until enough are chosen, each with why it is not if it is not."""
    budget = budget or Budget()
    by_tool: Counter[str] = Counter()
    left = budget.tokens
    without_room = 0
    for place, tool, score in _fitting(snapshot, request):
        if by_tool.total() >= budget.tips or without_room > _LOOKED_AT:
            return
        tip = snapshot.tips[place]
        cost = snapshot.index.tokens[place] + (0 if by_tool[tool] else TOKENS_AROUND)
        rejected = _changed_tool(tip, snapshot.index.about[place], request)
        if tool and by_tool[tool] >= budget.per_tool:
            rejected = f"{tool} has {budget.per_tool} tips already"
        elif cost > left:
            without_room += 1
            rejected = rejected or f"its {cost} tokens do not fit into the {left} that are left"
        if not rejected:
            left -= cost
            by_tool[tool] += 1
        yield Candidate(tip, tool, score, cost, rejected)


def _fitting(snapshot: Snapshot, request: Request) -> Iterator[tuple[int, str, float]]:
    """Yield the place of each tip that fits, the tool that it goes to, and how well it fits."""
    offered = _Offered(request.tools or {})
    about_tools = list(_about_tools(snapshot.index, offered))
    yield from about_tools
    seen = {place for place, _, _ in about_tools}
    for place, score in _by_words(snapshot.index, request):
        about = snapshot.index.about[place]
        # What is about tools that the run does not have is of no use to it.
        is_about_others = request.tools and about and not offered.first(about)
        if place not in seen and not is_about_others:
            yield place, "", score


def _about_tools(index: Index, offered: _Offered) -> Iterator[tuple[int, str, float]]:
    """Yield the best tip of each tool, then the second best, and so on; the better backed first."""
    found: list[tuple[int, int, str]] = []
    for name in offered.names:
        own = (place for place in index.about_tool(name) if offered.first(index.about[place]) == name)
        found += [(turn, place, name) for turn, place in enumerate(islice(own, _LOOKED_AT))]
    return ((place, name, 1.0) for _, place, name in sorted(found))


def _by_words(index: Index, request: Request) -> list[tuple[int, float]]:
    weights = dict.fromkeys(query_stems(request.instructions), _INSTRUCTIONS_WEIGHT)
    weights |= dict.fromkeys(query_stems(request.task), 1.0)
    scores = index.scores(weights)
    least = max(LEAST_SCORE, _LEAST_SHARE_OF_BEST * max(scores.values(), default=0))
    best = sorted((-score, place) for place, score in scores.items() if score >= least)
    return [(place, -score) for score, place in best[:_LOOKED_AT]]


class _Offered:
    """The names of the tools of a run, to be found with and without the prefix of a server."""

    def __init__(self, tools: Mapping[str, str]) -> None:
        self.names = sorted(tools)
        self._first: dict[tuple[str, ...], str] = {}
        self._by_bare_name: dict[str, list[str]] = {}
        for name in self.names:
            self._by_bare_name.setdefault(bare_name(name), []).append(name)

    def first(self, tools: tuple[str, ...]) -> str:
        """Return what the first of the tools that the run has is called there; empty if it has none."""
        # Many tips are about the same tools.
        if tools not in self._first:
            self._first[tools] = next((name for tool in tools if (name := self._called(tool))), "")
        return self._first[tools]

    def _called(self, tool: str) -> str:
        names = self._by_bare_name.get(bare_name(tool), ())
        return tool if tool in names else next((name for name in names if is_same_tool(name, tool)), "")


def _changed_tool(tip: ServedTip, about: Iterable[str], request: Request) -> str:
    """Say which tool that the tip is about has another definition now."""
    for name in about:
        learned, now = tip.tools.get(name), (request.tools or {}).get(name)
        if learned and now and learned != now:
            return f"the definition of {name} has changed since"
    return ""
