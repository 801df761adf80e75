"""Which version of which tool a tip was learned under, and which tips are older than their tools. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kaizen.sync.model import Message, Trajectory


class Offered(NamedTuple):
    """The version of a tool in the newest trace of a project that offered it, and when that started."""

    schema: str
    at: str
    trace_id: str


class ChangedTool(NamedTuple):
    """A tool of which a tip knows only older versions than the newest trace of the project offered."""

    source: str
    project: str
    name: str
    learned_under: tuple[str, ...]
    newest: Offered

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "project": self.project,
            "name": self.name,
            "learned_under": list(self.learned_under),
            "newest": self.newest.schema,
            "since": self.newest.at,
            "trace_id": self.newest.trace_id,
        }


def tool_versions(tools: Iterable[str]) -> dict[str, str]:
    """A hash of each tool's definition by its name: key order and OpenAI's wrapping do not count.

    What is no JSON object with a name is left out.
    """
    versions = {}
    for text in tools:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        value = value.get("function", value) if isinstance(value, dict) else None
        if isinstance(value, dict) and isinstance(name := value.get("name"), str):
            definition = {key: part for key, part in value.items() if key != "type"}
            canonical = json.dumps(definition, sort_keys=True, separators=(",", ":"))
            versions[name] = hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest()
    return versions


def tools_of(texts: Sequence[str], quote: str, trajectory: Trajectory) -> dict[str, str]:
    """The versions of the tools that a tip of these texts is about.

    Those are the tools that it names and those whose calls or results it quotes; without any, all offered.
    """
    versions = tool_versions(trajectory.tools)
    told = "\n".join(texts)
    about = set(_quoted(quote, trajectory.all_messages()))
    about |= {name for name in versions if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", told)}
    return {name: versions[name] for name in sorted(about & versions.keys())} or versions


def newest(
    known: Mapping[str, Offered], tools: Mapping[str, str], at: str, trace_id: str
) -> dict[str, Offered]:
    """What is known of a project's tools, with those of one more trace, which may be an older one."""
    offered = {name: Offered(schema, at, trace_id) for name, schema in tools.items()}
    later = {name: one for name, one in offered.items() if name not in known or one[1:] >= known[name][1:]}
    return {**known, **later}


def changed_tools(
    sources: Iterable[Mapping[str, Any]], known: Mapping[tuple[str, str], Mapping[str, Offered]]
) -> list[ChangedTool]:
    """The tools of which no evidence of a tip is as new as the project's newest trace that offered them."""
    learned: dict[tuple[str, str, str], set[str]] = {}
    for source in sources:
        for name, schema in (source.get("tools") or {}).items():
            learned.setdefault((source["source"], source["project"], name), set()).add(schema)
    return [
        ChangedTool(source, project, name, tuple(sorted(schemas)), now)
        for (source, project, name), schemas in sorted(learned.items())
        if (now := known.get((source, project), {}).get(name)) and now.schema not in schemas
    ]


def _quoted(quote: str, messages: Sequence[Message]) -> Iterator[str]:
    """The names of the tools in whose calls or results the words are."""
    wanted = " ".join(quote.split()).removeprefix("-> calls ")
    if not wanted:
        return
    called: dict[str, str] = {}
    for message in messages:
        for call in message.tool_calls:
            called[call.id] = call.name
            if wanted in " ".join(f"{call.name}({call.arguments})".split()):
                yield call.name
        name = message.name or called.get(message.tool_call_id, "")
        if message.role == "tool" and name and wanted in " ".join(message.content.split()):
            yield name
