"""Reads what kaizen.recall left in a trace: which tips a run was shown, and texts that are not the run's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kaizen.sync.model import Exposure
from kaizen.sync.trajectory.json_text import as_text, json_or_none

if TYPE_CHECKING:
    from kaizen.sync.model import Span, Trace

# The same as in kaizen.recall.marks, which ops machines need not have.
PATTERN = r"(?s)(?:\n\n)?(?:<kaizen-tips>\n.*?</kaizen-tips>|\[kaizen\] .*?\[/kaizen\])"

_WRITTEN = re.compile(PATTERN)
_BEGINNINGS = ("<kaizen-tips>", "[kaizen] ")
# Where no tracer of ours stamps spans, recall writes into OpenInference's metadata.
_PREFIXES = ("kaizen.recall.", "metadata.kaizen.recall.")


def read_exposures(trace: Trace) -> tuple[Exposure, ...]:
    """Return which tips the runs in a trace were given or held out from, one exposure for each unit."""
    return merge_exposures(found for span in trace.spans if (found := _exposure(span)))


def has_unrecorded_tips(trace: Trace) -> bool:
    """Return whether tips stand between Kaizen's marks in the trace, and no span says which these are."""
    values = (value for span in trace.spans for value in span.attributes.values())
    texts = (value for value in values if isinstance(value, str) and _is_marked(value))
    return any(map(_WRITTEN.search, texts)) and not read_exposures(trace)


def merge_exposures(exposures: Iterable[Exposure]) -> tuple[Exposure, ...]:
    """Return one exposure for each unit, with the tips of all that there are of it."""
    units: dict[str, Exposure] = {}
    for exposure in exposures:
        known = units.get(exposure.unit, exposure)
        units[exposure.unit] = replace(
            known,
            shown=tuple(dict.fromkeys((*known.shown, *exposure.shown))),
            held_out=tuple(dict.fromkeys((*known.held_out, *exposure.held_out))),
            p={**exposure.p, **known.p},
        )
    return tuple(units.values())


def _exposure(span: Span) -> Exposure | None:
    attributes = span.attributes
    metadata = attributes.get("metadata")
    if isinstance(metadata, str) and "kaizen.recall." in metadata:
        found = json_or_none(metadata)
        attributes = {**attributes, **(found if isinstance(found, Mapping) else {})}
    for prefix in _PREFIXES:
        if unit := as_text(attributes.get(f"{prefix}unit")):
            return Exposure(
                unit=unit,
                snapshot=as_text(attributes.get(f"{prefix}snapshot")),
                shown=_refs(attributes.get(f"{prefix}shown")),
                held_out=_refs(attributes.get(f"{prefix}held_out")),
                p=_probabilities(attributes.get(f"{prefix}p")),
                is_control=as_text(attributes.get(f"{prefix}control")) == "true",
            )
    return None


def _refs(value: Any) -> tuple[str, ...]:
    listed = json_or_none(value)
    return tuple(ref for ref in listed if isinstance(ref, str)) if isinstance(listed, list) else ()


def _probabilities(value: Any) -> dict[str, float]:
    given = json_or_none(value)
    pairs = given.items() if isinstance(given, Mapping) else ()
    return {tip_id: p for tip_id, p in pairs if isinstance(p, int | float)}


def without_recalled(trace: Trace) -> Trace:
    """Return the trace without what recall wrote into prompts and descriptions of tools."""
    return replace(trace, spans=tuple(map(_stripped_span, trace.spans)))


def _stripped_span(span: Span) -> Span:
    if not any(map(_is_marked, span.attributes.values())):
        return span
    return replace(span, attributes={key: _stripped(value) for key, value in span.attributes.items()})


def _is_marked(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_is_marked, value))
    return isinstance(value, str) and any(beginning in value for beginning in _BEGINNINGS)


def _stripped(value: Any) -> Any:
    """Return the value without marked texts, also those inside JSON."""
    if isinstance(value, str):
        return _stripped_text(value) if _is_marked(value) else value
    if isinstance(value, Mapping):
        return {key: _stripped(item) for key, item in value.items()}
    return list(map(_stripped, value)) if isinstance(value, list | tuple) else value


def _stripped_text(text: str) -> str:
    inner = json_or_none(text) if text.lstrip()[:1] in ("{", "[") else None
    # A plain text may begin with a bracket too: it is JSON only if it is a list or an object.
    if isinstance(inner, Mapping | list):
        return json.dumps(_stripped(inner), ensure_ascii=False)
    return _WRITTEN.sub("", text)
