"""Where tips are given: the functions of each framework that make a call, and where their arguments stand."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kaizen.recall.frameworks import calls, requests

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from kaizen.recall.frameworks.calls import Arguments, Kind
    from kaizen.recall.frameworks.requests import Request
    from kaizen.recall.frameworks.runs import Run

    Wrap = Callable[[Callable[..., Any], Kind], Callable[..., Any]]

applied: set[str] = set()


def apply(name: str, module: ModuleType) -> None:
    """Put our wrappers around the functions that a framework has now, unless they are outermost already."""
    _PATCHES[name](module)
    applied.add(name)
    # The first tips are loaded while the agent goes on importing.
    from kaizen.recall.snapshots.polling import current_poller

    with suppress(Exception):
        current_poller().start()


def _patch(owner: Any, name: str, wrap: Wrap, kind: Kind) -> None:
    function = getattr(owner, name, None)
    if function is not None and not calls.is_giving_tips(function):
        setattr(owner, name, wrap(function, kind))


def _patch_openai(module: ModuleType) -> None:
    """Patch `post`, which calls `request`: whoever traces that sees the tips."""
    # Asked of the dictionary, since openai exports lazy proxies.
    values = object.__getattribute__(module, "__dict__")
    _patch(values["OpenAI"], "post", calls.giving_tips, _POST)
    _patch(values["AsyncOpenAI"], "post", calls.giving_tips_async, _POST)


def _patch_litellm(module: ModuleType) -> None:
    for name in ("completion", "completion_with_retries"):
        _patch(module, name, calls.giving_tips, _COMPLETION)
        _patch(module, f"a{name}", calls.giving_tips_async, _COMPLETION)
    _patch(module, "responses", calls.giving_tips, _RESPONSES)
    _patch(module, "aresponses", calls.giving_tips_async, _RESPONSES)


def _patch_smolagents(module: ModuleType) -> None:
    """Patch the models, not only what they call: they may run in this process, and theirs are the spans."""
    values = list(object.__getattribute__(module, "__dict__").values())
    for model in values:
        if isinstance(model, type) and issubclass(model, module.Model):
            _patch(model, "generate", calls.giving_tips, _GENERATE)
            if "generate_stream" in vars(model):
                _patch(model, "generate_stream", calls.giving_tips_streamed, _GENERATE)


_PATCHES = {"openai": _patch_openai, "litellm": _patch_litellm, "smolagents": _patch_smolagents}


def _kind(
    places: tuple[str, ...],
    read: Callable[[Mapping[str, Any]], Request | None],
    write: Callable[[Request, Run], dict[str, Any]],
) -> Kind:
    """Return the kind of a function with these parameters, which may be given by position."""

    def read_arguments(arguments: Arguments) -> Request | None:
        args, kwargs = arguments
        return read({**dict(zip(places, args, strict=False)), **kwargs})

    def write_arguments(arguments: Arguments, request: Request, run: Run) -> Arguments:
        args, values = arguments[0], write(request, run)
        positional = tuple(values.pop(name) for name in places[: len(args)])
        return (*positional, *args[len(places) :]), values

    return calls.Kind(read_arguments, write_arguments)


def _write_chat(request: Request, run: Run) -> dict[str, Any]:
    return requests.with_tips_in_chat(request, run.recalled)


def _write_responses(request: Request, run: Run) -> dict[str, Any]:
    is_kept = run.is_kept and bool(request.conversation)
    run.is_kept = is_kept or requests.is_block_in_messages(request)
    return requests.with_tips_in_responses(request, run.recalled, is_kept=is_kept)


_COMPLETION = _kind(("model", "messages"), requests.read_chat, _write_chat)
_RESPONSES = _kind(("input", "model"), requests.read_responses, _write_responses)
_GENERATE = _kind(
    ("self", "messages", "stop_sequences", "response_format", "tools_to_call_from"),
    requests.read_chat,
    _write_chat,
)

_PATHS = {
    "/chat/completions": (requests.read_chat, _write_chat),
    "/responses": (requests.read_responses, _write_responses),
}


def _read_post(arguments: Arguments) -> Request | None:
    (_, path), body = arguments[0][:2], arguments[1].get("body")
    read, _ = _PATHS.get(path, (None, None))
    return read(body) if read is not None and isinstance(body, Mapping) else None


def _write_post(arguments: Arguments, request: Request, run: Run) -> Arguments:
    args, kwargs = arguments
    _, write = _PATHS[args[1]]
    return args, {**kwargs, "body": write(request, run)}


_POST = calls.Kind(_read_post, _write_post)
