"""Give agents the tips that they may be shown, as kaizen.recall reads them, and say when nothing is new."""

from __future__ import annotations

import gzip
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import Response
from starlette.routing import Route

from kaizen.serve.api.operations import InNamespace, checked
from kaizen.serve.context import context_of
from kaizen.tips import recall_document

if TYPE_CHECKING:
    from starlette.requests import Request

    from kaizen.serve.observing import Metrics
    from kaizen.store import Store, StoreSettings


class Document(NamedTuple):
    """A snapshot as it is sent. It is held compressed too, since each client asks for it once a change."""

    data: bytes
    gzipped: bytes
    etag: str


class Snapshots:
    """Write the snapshots of one app, and count them."""

    def __init__(self, where: StoreSettings, metrics: Metrics) -> None:
        self._where = where
        self._metrics = metrics

    def read(self, store: Store, namespace_id: str) -> Document:
        text = recall_document(store, namespace_id, try_candidates=self._where.try_candidates)
        self._metrics.snapshots.inc()
        data = text.encode()
        return Document(data, gzip.compress(data, 6, mtime=0), _etag(data))

    async def answer(self, request: Request) -> Response:
        context = context_of(request)
        named = request.path_params.get("namespace") or request.query_params.get("namespace")
        asked = checked(InNamespace, {"namespace": named} if named is not None else {})
        document = await context.latest(asked.namespace or context.namespace_id, self.read)
        headers = {
            "ETag": document.etag,
            "Cache-Control": "private, no-cache",
            "Vary": "Accept-Encoding, Authorization",
        }
        if _is_known(request.headers.get("if-none-match", ""), document.etag):
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(document.gzipped, headers=headers, media_type="application/json")
        return Response(document.data, headers=headers, media_type="application/json")

    def routes(self) -> list[Route]:
        return [
            Route("/v1/snapshot", self.answer, name="default_snapshot"),
            Route("/v1/snapshot/{namespace}", self.answer, name="snapshot"),
        ]


def _etag(data: bytes) -> str:
    # Weak (RFC 9110, 8.8.1): the same tips are other bytes when they are compressed.
    return f'W/"{sha256(data).hexdigest()[:32]}"'


def _is_known(sent: str, etag: str) -> bool:
    return any(one.strip() in (etag, etag.removeprefix("W/"), "*") for one in sent.split(","))
