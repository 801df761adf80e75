"""Tools, tokens and ids that the attributes of a model call hold, in every dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kaizen.sync.model import Span, Usage
from kaizen.sync.trajectory.dialects import litellm_callback
from kaizen.sync.trajectory.dialects.openinference import grouped
from kaizen.sync.trajectory.json_text import as_text, json_or_none

_TOOLS = ("llm.tools.", "llm.request.functions.")
# What answered comes before what was asked for, which may be an alias.
_MODELS = ("llm.model_name", "gen_ai.response.model", "gen_ai.request.model", "ai.model.id")
_PROMPT_TOKENS = (
    "llm.token_count.prompt",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "metadata.usage_object.prompt_tokens",
    "prompt_tokens",
    "input_tokens",
)
_COMPLETION_TOKENS = (
    "llm.token_count.completion",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "metadata.usage_object.completion_tokens",
    "completion_tokens",
    "output_tokens",
)
# More than any call uses; the counts of a trace add up to less than 64 bits.
_MOST_TOKENS = 2**40
_RESPONSE_IDS = ("gen_ai.response.id", "llm.response.id", "llm.openai.id", "ai.response.id")


def tool_schemas(span: Span) -> list[str]:
    """Return the JSON definitions of the tools that the model was offered, as text."""
    # Given by number: whole, or as name, description and parameters.
    if found := list(filter(None, map(_definition, grouped(span.attributes, *_TOOLS)))):
        return found
    if span.name == litellm_callback.RAW:
        return litellm_callback.tools(span)
    definitions = json_or_none(span.attributes.get("gen_ai.tool.definitions"))
    if isinstance(definitions, list):
        return list(map(as_text, definitions))
    offered = span.attributes.get("ai.prompt.tools")
    return list(map(as_text, offered)) if isinstance(offered, list | tuple) else []


def _definition(fields: Mapping[str, Any]) -> str:
    if "tool.json_schema" in fields:
        return as_text(fields["tool.json_schema"])
    if "name" not in fields:
        return ""
    given = {key: fields[key] for key in ("name", "description") if key in fields}
    parameters = json_or_none(fields.get("parameters"))
    return as_text({**given, "parameters": parameters} if isinstance(parameters, Mapping) else given)


def model_name(span: Span) -> str:
    """Return the name of the model that was asked; empty if the span does not name it."""
    return as_text(_first(span.attributes, _MODELS))


def usage(span: Span) -> Usage:
    """Return the tokens that a model call used, as its span counts them."""
    counts = litellm_callback.usage(span) if span.name == litellm_callback.RAW else span.attributes
    return Usage(
        prompt_tokens=_count(counts, _PROMPT_TOKENS), completion_tokens=_count(counts, _COMPLETION_TOKENS)
    )


def response_ids(span: Span) -> tuple[str, str]:
    """Return the id of the answer and of the one it follows (Responses API); each empty if unknown."""
    output = span.attributes.get("output.value")
    # Looking for the name first spares parsing what may be megabytes.
    if isinstance(output, str) and "previous_response_id" in output:
        value = json_or_none(output)
        if isinstance(value, Mapping) and value.get("object") == "response":
            return as_text(value.get("id")), as_text(value.get("previous_response_id"))
    asked = span.attributes.get("llm.invocation_parameters")
    follows = ""
    if isinstance(asked, str) and "previous_response_id" in asked:
        parameters = json_or_none(asked)
        follows = as_text(parameters.get("previous_response_id")) if isinstance(parameters, Mapping) else ""
    return as_text(_first(span.attributes, _RESPONSE_IDS)), follows


def _count(counts: Mapping[str, Any], names: Sequence[str]) -> int:
    for name in names:
        value = counts.get(name)
        if isinstance(value, int | float) and 0 <= value < _MOST_TOKENS:
            return int(value)
    return 0


def _first(attributes: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((attributes[name] for name in names if attributes.get(name)), None)
