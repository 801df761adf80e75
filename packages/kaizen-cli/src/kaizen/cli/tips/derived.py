"""Commands on tips, made of those on entities: the same code, fixed to the type of tips."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from kaizen.cli.options import store_settings
from kaizen.tips import GUIDELINE

Command = Callable[..., None]


def for_tips(
    command: Command,
    help: str,
    *,
    fixed: Mapping[str, Any] | None = None,
    written: Mapping[str, Any] | None = None,
) -> Command:
    """Return the command for tips only, with that help.

    `fixed` are parameters with the value they always have, besides the type; `written` are parameters that
    are written otherwise on the command line, with their annotation. The namespace is an option only.
    """
    values = {"type_": GUIDELINE, "namespace": None, **(fixed or {})}
    signature = inspect.signature(command)
    hints = {**get_type_hints(command, include_extras=True), **(written or {})}
    kept = [
        parameter.replace(annotation=hints[name])
        for name, parameter in signature.parameters.items()
        if name not in values
    ]
    preset = {name: value for name, value in values.items() if name in signature.parameters}

    def for_tips_only(**given: Any) -> None:
        # Named here, so that no word on the command line is taken for it.
        given["in_namespace"] = store_settings(namespace_id=given["in_namespace"]).namespace_id
        command(**given, **preset)

    for_tips_only.__doc__ = help
    for_tips_only.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    for_tips_only.__annotations__ = {parameter.name: parameter.annotation for parameter in kept}
    return for_tips_only
