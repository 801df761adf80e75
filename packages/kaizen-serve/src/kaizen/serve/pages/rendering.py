"""Render templates: the environment with its filters, and what every page needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse

from kaizen.serve.context import context_of
from kaizen.serve.pages import plot
from kaizen.serve.pages.text import bounded, plain, safe_url, shown, shown_tip, summary
from kaizen.serve.pages.words import ago, counted, percent, when
from kaizen.serve.security import Caller, csrf_token
from kaizen.store import NotFoundError
from kaizen.tips import is_pinned

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from kaizen.store import Commit

STATIC = files("kaizen.serve.pages") / "static"


@cache
def environment() -> Environment:
    """Return the templates, made once. Everything is escaped unless a filter of ours made it HTML."""
    made = Environment(
        loader=PackageLoader("kaizen.serve.pages"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "plain": plain,
        "shown": shown,
        "shown_tip": shown_tip,
        "bounded": bounded,
        "summary": summary,
        "safe_url": safe_url,
        "when": when,
        "ago": ago,
        "percent": percent,
        "counted": counted,
        "is_pinned": is_pinned,
    }
    made.globals |= {"interval_bar": plot.interval_bar}
    return made


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of pages, below the path that a proxy puts in front."""

    base: str
    namespace_id: str

    def to(self, page: str = "", /, *parts: str, **query: object) -> str:
        """Return the address of a page of this namespace."""
        return self.of(self.namespace_id, page, *parts, **query)

    def of(self, namespace_id: str, page: str = "", /, *parts: str, **query: object) -> str:
        path = "/".join(quote(part, safe="") for part in (namespace_id, page, *parts) if part)
        pairs = {name: value for name, value in query.items() if value not in ("", None)}
        return f"{self.base}/ns/{path}" + (f"?{urlencode(pairs)}" if pairs else "")

    def static(self, name: str) -> str:
        return f"{self.base}/static/{static_version()}/{name}"

    def root(self, path: str = "/") -> str:
        return f"{self.base}{path}"


@cache
def static_version() -> str:
    """Return a name for the static files as they are, so that browsers may keep them for ever."""
    digest = sha256()
    for file in sorted(STATIC.iterdir(), key=lambda file: file.name):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def links_of(request: Request) -> Links:
    return Links(request.scope.get("root_path", ""), namespace_of(request))


def namespace_of(request: Request) -> str:
    """Return the namespace in the path, else the default one."""
    return str(request.path_params.get("namespace") or context_of(request).namespace_id)


async def render(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """Render a page in a thread: many tips take milliseconds to write."""
    return await context_of(request).read(_rendered, request, template, status, values)


def _rendered(request: Request, template: str, status: int, values: dict[str, Any]) -> Response:
    known = page_values(request) | {
        "done": _done(request),
        "namespaces": [namespace.id for namespace in context_of(request).store.list_namespaces()],
    }
    text = environment().get_template(template).render(known | values)
    return HTMLResponse(text, status_code=status, headers={"Vary": "HX-Target"})


def _done(request: Request) -> Commit | None:
    """Return the commit that the visitor made just now, by its version in the address; named to be undone."""
    version = request.query_params.get("done", "")
    if not (version.isascii() and version.isdecimal() and 0 < len(version) < 19):
        return None
    store, namespace_id = context_of(request).store, namespace_of(request)
    try:
        found = store.commits(namespace_id, after=max(0, int(version) - 1), limit=1)
    except NotFoundError:
        return None
    return found[0] if found else None


def page_values(request: Request) -> dict[str, Any]:
    """Return what every page needs of the request; reads nothing."""
    # A request that is refused early has no caller yet.
    caller = getattr(request.state, "caller", None) or Caller()
    params = request.query_params
    return {
        "links": links_of(request),
        "namespace_id": namespace_of(request),
        "namespaces": [],
        "caller": caller,
        "may_review": "review" in caller.scopes,
        "has_tokens": bool(context_of(request).settings.known_tokens()),
        "csrf": csrf_token(request) if caller.cookie else "",
        "done": None,
        "undone": params.get("undone", ""),
        "query_string": f"?{request.url.query}" if request.url.query else "?",
        "page": "",
    }


def is_fragment(request: Request) -> bool:
    """Return whether a script asks for the results alone, and not for a page that it takes more of."""
    return request.headers.get("hx-target") == "results"


def form_of(request: Request) -> dict[str, list[str]]:
    """Return the fields of a form that was sent."""
    body: bytes = request.state.body
    return parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)


def redirect(url: str) -> Response:
    return RedirectResponse(url, status_code=303)
