"""Describe an operation once: from this come its route, the check of what it is sent, and its description."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response
from starlette.routing import Route

from kaizen.serve.context import Context, context_of
from kaizen.serve.security import caller_of
from kaizen.serve.security.callers import check_scope
from kaizen.store import InvalidInputError

if TYPE_CHECKING:
    from starlette.requests import Request

M = TypeVar("M", bound=BaseModel)

NAMESPACE = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$"


Id = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""An id of an entity, as the store accepts it."""


class Taken(BaseModel):
    """What a request may hold; nothing else is taken."""

    model_config = ConfigDict(extra="forbid")


class InNamespace(Taken):
    """The parameters that every operation has."""

    namespace: str | None = Field(
        default=None, pattern=NAMESPACE, description="Namespace of the store; by default that of the server."
    )


class Nothing(Taken):
    """No body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who asks for what: `parameters` and `body` are checked already."""

    context: Context
    actor: str
    namespace_id: str
    parameters: Any
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. `function` runs in a thread if it is `blocking`, else in the event loop.

    Parameters whose names stand in the path are taken from there, the others from the query.
    """

    method: str
    path: str
    name: str
    summary: str
    scope: str
    function: Callable[[Asked], Any]
    gives: type[BaseModel]
    parameters: type[BaseModel] = InNamespace
    body: type[BaseModel] = Nothing
    status: int = 200

    @property
    def in_path(self) -> frozenset[str]:
        return frozenset(name for name in self.parameters.model_fields if f"{{{name}" in self.path)

    def route(self) -> Route:
        return Route(self.path, self._answer, methods=[self.method], name=self.name)

    async def _answer(self, request: Request) -> Response:
        caller, context = caller_of(request), context_of(request)
        check_scope(caller, self.scope)
        parameters = checked(self.parameters, {**_query(request), **request.path_params})
        asked = Asked(
            context=context,
            actor=caller.actor,
            namespace_id=getattr(parameters, "namespace", None) or context.namespace_id,
            parameters=parameters,
            body=None if self.body is Nothing else checked(self.body, _json(request)),
        )
        if self.scope == "read":
            given = self.function(asked)
            given = await given if hasattr(given, "__await__") else given
        else:
            given = await context.write(self.function, asked)
        return Response(
            self.gives.model_validate(given).model_dump_json(), self.status, media_type="application/json"
        )


def checked(shape: type[M], value: Any) -> M:
    """Return the value in that shape. Raises `InvalidInputError`, which names the first wrong field."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise InvalidInputError(f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}") from error


def _query(request: Request) -> Mapping[str, Any]:
    """Return the query, in which a name that is given twice is a list."""
    pairs = request.query_params.multi_items()
    names = [name for name, _ in pairs]
    return {
        name: [v for n, v in pairs if n == name] if names.count(name) > 1 else value for name, value in pairs
    }


def _json(request: Request) -> Any:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise InvalidInputError("the body is to be JSON, with the content type application/json")
    try:
        return json.loads(request.state.body)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"the body is not JSON: {error}") from error
