"""Definitions of tools in the shapes of all providers: names, parameters, versions, and what has changed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from kaizen.sync.trajectory.json_text import json_or_none

if TYPE_CHECKING:
    from kaizen.sync.model import Message, Trajectory

_LISTS = ("function_declarations", "functionDeclarations", "tools")
_WRAPPERS = ("function", "toolSpec", "custom")
_PARAMETERS = (
    "parameters",
    "input_schema",
    "inputSchema",
    "parameters_json_schema",
    "parametersJsonSchema",
)
_LINE_CHARS = 200  # a prompt may list hundreds of tools


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolDefinition:
    """One tool that a model was offered.

    `parameters` is the JSON schema of its arguments, None if the definition has none. `version` is a hash of
    the definition: key order and wrapping do not count.
    """

    name: str
    parameters: Mapping[str, Any] | None
    version: str

    @property
    def signature(self) -> str:
        """Return `find_trains(origin: string, date?: string)`."""
        return f"{self.name}({', '.join(_parameters(self.parameters or {}))})"


def read_definitions(text: str) -> list[ToolDefinition]:
    """Return the tools that a JSON text defines; empty if it defines none.

    Reads the shapes of OpenAI's chat (`function`) and Responses APIs, of Anthropic (`input_schema`), Gemini
    (`function_declarations`), MCP (`inputSchema`) and Bedrock (`toolSpec`), one definition or a list of them.
    A tool of the provider's own goes by its type, such as `web_search`.
    """
    try:
        return list(_definitions(json_or_none(text)))
    except RecursionError:
        return []


def _definitions(value: Any) -> Iterator[ToolDefinition]:
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += reversed(value)
        elif isinstance(value, Mapping):
            listed = next((value[key] for key in _LISTS if isinstance(value.get(key), list)), None)
            if listed is not None:
                pending.append(listed)
            elif tool := _definition(value):
                yield tool


def _definition(value: Mapping[str, Any]) -> ToolDefinition | None:
    inner = next((value[key] for key in _WRAPPERS if isinstance(value.get(key), Mapping)), value)
    name = inner.get("name") or inner.get("type")
    # These are the types of wrappers and schemas, and no names of tools.
    if not isinstance(name, str) or name in ("function", "object"):
        return None
    return ToolDefinition(name=name, parameters=_schema(inner), version=_version(inner))


def _schema(definition: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found = (definition[key] for key in _PARAMETERS if isinstance(definition.get(key), Mapping))
    schema: Mapping[str, Any] | None = next(found, None)
    # Bedrock wraps the schema once more.
    if schema is not None and isinstance(schema.get("json"), Mapping):
        return schema["json"]  # type: ignore[no-any-return]
    return schema


def _version(definition: Mapping[str, Any]) -> str:
    parts = {key: part for key, part in definition.items() if key != "type" or "name" not in definition}
    # Whether a tool without a description has an empty one differs from tracer to tracer.
    if not parts.get("description"):
        parts.pop("description", None)
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest()


def _parameters(schema: Mapping[str, Any]) -> Iterator[str]:
    properties, required = schema.get("properties"), schema.get("required")
    required = required if isinstance(required, Sequence) else ()
    for name, described in properties.items() if isinstance(properties, Mapping) else ():
        kind = described.get("type") if isinstance(described, Mapping) else None
        mark = "" if name in required else "?"
        yield f"{name}{mark}: {kind}" if isinstance(kind, str) else f"{name}{mark}"


def signatures(texts: Iterable[str]) -> list[str]:
    """Return a line of at most 200 characters for each tool, and for a text that defines none the text."""
    return [
        _one_line(line)
        for text in texts
        for line in [tool.signature for tool in read_definitions(text)] or [text]
    ]


def _one_line(text: str) -> str:
    line = " ".join(text[: 4 * _LINE_CHARS].split())
    return line if len(line) <= _LINE_CHARS else f"{line[: _LINE_CHARS - 4]} ..."


def tool_versions(texts: Iterable[str]) -> dict[str, str]:
    """Return the version of each tool by its name."""
    return {tool.name: tool.version for text in texts for tool in read_definitions(text)}


class Offered(NamedTuple):
    """The version of a tool in the newest trace of a project that offered it, and when that trace started."""

    schema: str
    at: str
    trace_id: str


class ChangedTool(NamedTuple):
    """A tool whose newest version in a project no evidence of a tip was learned under."""

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


def tools_of(texts: Sequence[str], quote: str, trajectory: Trajectory) -> dict[str, str]:
    """Return the versions of the tools that a tip with these texts is about, by name.

    These are the tools that it names and those whose calls or results it quotes; if there are none, all that
    were offered.
    """
    versions = tool_versions(trajectory.tools)
    text = "\n".join(texts)
    about = set(_quoted_tools(quote, trajectory.all_messages()))
    about |= {name for name in versions if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)}
    return {name: versions[name] for name in sorted(about & versions.keys())} or versions


def newest(
    known: Mapping[str, Offered], tools: Mapping[str, str], at: str, trace_id: str
) -> dict[str, Offered]:
    """Return the known tools of a project with those of one more trace, which may be an older one."""
    offered = {name: Offered(schema, at, trace_id) for name, schema in tools.items()}
    later = {name: one for name, one in offered.items() if name not in known or one[1:] >= known[name][1:]}
    return {**known, **later}


def changed_tools(
    sources: Iterable[Mapping[str, Any]], known: Mapping[tuple[str, str], Mapping[str, Offered]]
) -> list[ChangedTool]:
    """Return the tools whose newest version in their project no source of a tip was learned under."""
    learned: dict[tuple[str, str, str], set[str]] = {}
    for source in sources:
        for name, schema in (source.get("tools") or {}).items():
            learned.setdefault((source["source"], source["project"], name), set()).add(schema)
    return [
        ChangedTool(source, project, name, tuple(sorted(schemas)), now)
        for (source, project, name), schemas in sorted(learned.items())
        if (now := known.get((source, project), {}).get(name)) and now.schema not in schemas
    ]


def _quoted_tools(quote: str, messages: Sequence[Message]) -> Iterator[str]:
    """Yield the names of the tools whose calls or results contain the quote."""
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
