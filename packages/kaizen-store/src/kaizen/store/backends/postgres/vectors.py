"""Make the vectors that the postgres backend lacks, and compare them, by an index if there is one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
from psycopg import sql

from kaizen.store.backends.postgres.rows import STATE_COLUMNS, STATE_OF_ENTITY, fetch, to_entities
from kaizen.store.backends.postgres.schema import lock
from kaizen.store.embedders import embed_in_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from kaizen.store.backends.postgres.connections import Connections
    from kaizen.store.backends.postgres.reading import Selection
    from kaizen.store.backends.postgres.rows import Row
    from kaizen.store.embedders import Embedder

# Up to so many selected entities, comparing each costs about what the index costs, and misses none.
FEW = 5_000
# How many of the nearest an index looks for; more than 1,000 pgvector does not take.
_MAX_EF_SEARCH = 1_000
# What pgvector's HNSW indexes hold: vector up to 2,000 dimensions, half precision up to 4,000.
_MAX_VECTOR, _MAX_HALFVEC = 2_000, 4_000
_ITERATES_SINCE = (0, 8)
_BUILD_MEMORY_KB = 262_144
# How many vectors are read at once where they are compared here: 5 MB of 256 dimensions.
_STREAMED = 5_000


@dataclass(frozen=True, slots=True)
class Extension:
    """pgvector, as this database has it."""

    schema: str
    version: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """An embedder as the database knows it. `model` numbers it and names its index."""

    model: int
    dimension: int
    extension: Extension | None
    has_index: bool

    @property
    def vector_type(self) -> str | None:
        """Return the type of vectors in an index; None if no index can hold vectors of that length."""
        if self.dimension <= _MAX_VECTOR:
            return "vector"
        return "halfvec" if self.dimension <= _MAX_HALFVEC else None

    def sql(self, template: str) -> sql.Composed:
        """Fill in what names the model, its index and the types and operators of the extension."""
        kind = self.vector_type or "vector"
        return sql.SQL(template).format(
            model=sql.Literal(self.model),
            index=sql.Identifier(f"vectors_of_model_{self.model}"),
            # Without the extension no template names it.
            schema=sql.Identifier(self.extension.schema if self.extension else ""),
            kind=sql.Identifier(kind),
            dimension=sql.Literal(self.dimension),
            operators=sql.Identifier(f"{kind}_cosine_ops"),
        )


_TYPE = "{schema}.{kind}({dimension})"
# From `v.embedding` to the parameter `vector`, written as in the index: else the planner does not see it.
_DISTANCE = f"((v.embedding::{_TYPE}) OPERATOR({{schema}}.<=>) %(vector)b::real[]::{_TYPE})"
_CREATE_INDEX = (
    f"CREATE INDEX IF NOT EXISTS {{index}} ON kaizen.vectors USING hnsw ((embedding::{_TYPE}) "
    "{schema}.{operators}) WHERE model = {model}"
)


def _embedded(selection: Selection) -> str:
    """Join the selected entities with their vectors; the model is a constant, as in its index's condition."""
    return (
        f"{selection.tables} JOIN kaizen.vectors v ON v.ns = e.ns AND v.entity_id = e.entity_id "
        f"AND v.model = {{model}} WHERE {selection.condition}"
    )


def to_vector(sent: bytes) -> NDArray[np.float32]:
    """Parse a `real[]` as PostgreSQL sends it: 20 bytes, then the length and the value of each element."""
    return np.frombuffer(sent, dtype=[("length", ">i4"), ("value", ">f4")], offset=20)["value"].astype(
        np.float32
    )


def find_extension(connection: psycopg.Connection) -> Extension | None:
    rows = fetch(
        connection,
        "SELECT n.nspname, e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
        "WHERE e.extname = 'vector'",
        {},
    )
    return Extension(rows[0][0], _version(rows[0][1])) if rows else None


def may_have_extension(connection: psycopg.Connection) -> bool:
    """Return whether pgvector is there, or will be once the first entity is embedded."""
    if find_extension(connection) is not None:
        return True
    rows = fetch(
        connection,
        "SELECT has_database_privilege(current_database(), 'CREATE') FROM pg_available_extensions "
        "WHERE name = 'vector'",
        {},
    )
    return bool(rows and rows[0][0])


def find_model(connections: Connections, embedder: Embedder) -> Model:
    """Return the model of an embedder; add it if it is new."""
    model = connections.read(lambda connection: _known_model(connection, embedder))
    if model is not None:
        return model

    def make(connection: psycopg.Connection) -> None:
        lock(connection)
        _make_extension(connection)
        connection.execute(
            "INSERT INTO kaizen.models (name, dimension) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (embedder.model, embedder.dimension),
        )

    connections.write(make)
    return find_model(connections, embedder)


def index_where_many(connections: Connections, model: Model) -> None:
    """Make the model's index once there are so many vectors that a search uses it.

    Building it over what is there takes a fraction of adding each vector to it.
    """
    if model.has_index or model.vector_type is None:
        return

    def make(connection: psycopg.Connection) -> None:
        lock(connection)
        _make_extension(connection)
        extension = find_extension(connection)
        if extension is None or _count(connection, model) <= FEW:
            return
        connection.execute("SET LOCAL statement_timeout = 0")
        # While the graph fits into it, building is many times as fast.
        connection.execute(
            "SELECT set_config('maintenance_work_mem', greatest(%s, "
            "pg_size_bytes(current_setting('maintenance_work_mem')) / 1024) || 'kB', true)",
            (_BUILD_MEMORY_KB,),
        )
        connection.execute(replace(model, extension=extension).sql(_CREATE_INDEX))

    connections.write(make)


def _count(connection: psycopg.Connection, model: Model) -> int:
    """The model's vectors, as far as they need counting."""
    ((count,),) = fetch(
        connection,
        "SELECT count(*) FROM (SELECT FROM kaizen.vectors WHERE model = %(model)s LIMIT %(limit)s) counted",
        {"model": model.model, "limit": FEW + 1},
    )
    return int(count)


def forget_other_models(connections: Connections, ns: int, model: Model) -> None:
    def forget(connection: psycopg.Connection) -> None:
        for table in ("vectors", "embedded"):
            connection.execute(
                f"DELETE FROM kaizen.{table} WHERE ns = %s AND model <> %s",  # noqa: S608 - ours
                (ns, model.model),
            )

    connections.write(forget)


def embed_pending(
    connections: Connections,
    ns: int,
    model: Model,
    embedder: Embedder,
    *,
    at_most: int | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> int:
    """Embed the current states that this model has not embedded yet, oldest first; return how many."""
    values = {"ns": ns, "model": model.model}

    def read(limit: int) -> list[Row]:
        return connections.read(partial(_next, values=values, limit=limit))

    def write(rows: Sequence[Row], vectors: NDArray[Any]) -> None:
        connections.write(partial(_add, values=values, rows=rows, vectors=vectors))

    total = connections.read(lambda connection: _pending(connection, values, at_most))
    return embed_in_batches(embedder, total, read, lambda row: to_entities("", [row])[0], write, progress)


def nearest(
    connection: psycopg.Connection, model: Model, selection: Selection, vector: NDArray[Any], how_many: int
) -> dict[str, float]:
    """Return the cosines of the entities nearest to the vector, out of those selected.

    By the index where many are selected. It goes through the vectors of all namespaces, nearest first, until
    enough are selected; should it give up before, each is compared.
    """
    if not np.any(vector):
        return {}
    if model.extension is None:
        return _by_numpy(connection, model, selection, vector, how_many)
    if model.has_index and selection.count(connection, at_most=FEW + 1) > FEW:
        found = _by_index(connection, model, selection, vector, how_many)
        if len(found) == how_many:
            return found
    return _by_distance(connection, model, selection, vector, how_many, order=f"{_DISTANCE} + 0, e.entity_id")


def _by_index(
    connection: psycopg.Connection, model: Model, selection: Selection, vector: NDArray[Any], how_many: int
) -> dict[str, float]:
    assert model.extension is not None
    ef_search = max(1, min(how_many, _MAX_EF_SEARCH))
    connection.execute(f"SET LOCAL hnsw.ef_search = {ef_search}")
    if model.extension.version >= _ITERATES_SINCE:
        connection.execute("SET LOCAL hnsw.iterative_scan = strict_order")
    return _by_distance(connection, model, selection, vector, how_many, order=_DISTANCE)


def _by_distance(
    connection: psycopg.Connection,
    model: Model,
    selection: Selection,
    vector: NDArray[Any],
    how_many: int,
    *,
    order: str,
) -> dict[str, float]:
    """Order by an expression: by the distance itself an index is used, by the distance plus 0 it is not."""
    statement = model.sql(
        f"SELECT e.entity_id, 1 - {_DISTANCE} FROM {_embedded(selection)} "  # noqa: S608 - texts of ours
        f"ORDER BY {order} LIMIT %(how_many)s"
    )
    values = {**selection.values, "vector": vector.tolist(), "how_many": how_many}
    return dict(connection.execute(statement, values).fetchall())


def _by_numpy(
    connection: psycopg.Connection, model: Model, selection: Selection, vector: NDArray[Any], how_many: int
) -> dict[str, float]:
    best: list[tuple[float, str]] = []
    for ids, vectors in _streamed(connection, model, selection):
        best += zip((-(vectors @ vector)).tolist(), ids, strict=True)
        best = sorted(best)[:how_many]
    return {entity_id: -distance for distance, entity_id in best}


def _streamed(
    connection: psycopg.Connection, model: Model, selection: Selection
) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """Read the selected vectors in pieces, by a cursor of the server: they need not fit into memory."""
    statement = model.sql(f"SELECT e.entity_id, array_send(v.embedding) FROM {_embedded(selection)}")  # noqa: S608
    with connection.cursor("vectors", binary=True) as cursor:
        cursor.itersize = _STREAMED
        cursor.execute(statement, selection.values)
        while rows := cursor.fetchmany(_STREAMED):
            yield [row[0] for row in rows], np.stack([to_vector(row[1]) for row in rows])


def _known_model(connection: psycopg.Connection, embedder: Embedder) -> Model | None:
    rows = fetch(
        connection,
        "SELECT model, to_regclass('kaizen.vectors_of_model_' || model) IS NOT NULL FROM kaizen.models "
        "WHERE name = %(name)s AND dimension = %(dimension)s",
        {"name": embedder.model, "dimension": embedder.dimension},
    )
    if not rows:
        return None
    model, has_index = rows[0]
    return Model(model, embedder.dimension, find_extension(connection), has_index)


def _make_extension(connection: psycopg.Connection) -> None:
    """Add pgvector if it is installed and we may; without it everything works, by comparing each vector."""
    if find_extension(connection) is not None:
        return
    try:
        with connection.transaction():
            connection.execute("CREATE EXTENSION vector")
    except psycopg.Error:
        # Not installed, or not for us to install: the transaction goes on without it.
        return


def _pending(connection: psycopg.Connection, values: dict[str, int], at_most: int | None) -> int:
    ((count,),) = fetch(
        connection,
        f"SELECT count(*) FROM (SELECT {_PENDING} LIMIT %(limit)s) pending",  # noqa: S608
        {**values, "limit": at_most},
    )
    return int(count)


def _next(connection: psycopg.Connection, values: dict[str, int], limit: int) -> list[Row]:
    return fetch(
        connection,
        f"SELECT {STATE_COLUMNS} FROM (SELECT e.* {_PENDING} "  # noqa: S608
        f"ORDER BY e.version, e.entity_id LIMIT %(limit)s) e {STATE_OF_ENTITY} "
        "ORDER BY e.version, e.entity_id",
        {**values, "limit": limit},
    )


# States come into being in this order, and each is current from then on or never again.
_PENDING = (
    "FROM kaizen.entities e WHERE e.ns = %(ns)s AND (e.version, e.entity_id) > ("
    "coalesce((SELECT version FROM kaizen.embedded WHERE ns = %(ns)s AND model = %(model)s), 0), "
    "coalesce((SELECT entity_id FROM kaizen.embedded WHERE ns = %(ns)s AND model = %(model)s), ''))"
)


def _add(
    connection: psycopg.Connection, values: dict[str, int], rows: Sequence[Row], vectors: NDArray[Any]
) -> None:
    """Add vectors of what is still current. A vector of zeros says nothing and has no cosine."""
    telling = [(row, vector) for row, vector in zip(rows, vectors, strict=True) if np.any(vector)]
    # Against commits, which take away the vectors of what they change.
    connection.execute("SELECT FROM kaizen.namespaces WHERE ns = %(ns)s FOR KEY SHARE", values)
    connection.execute(
        "INSERT INTO kaizen.vectors SELECT e.ns, e.entity_id, %(model)s, u.embedding::real[] "
        "FROM unnest(%(ids)b::text[], %(versions)b::bigint[], %(embeddings)b::text[]) "
        "u (entity_id, version, embedding) JOIN kaizen.entities e "
        "ON e.ns = %(ns)s AND e.entity_id = u.entity_id AND e.version = u.version ON CONFLICT DO NOTHING",
        {
            **values,
            "ids": [row[1] for row, _ in telling],
            "versions": [row[0] for row, _ in telling],
            "embeddings": [f"{{{','.join(map(repr, vector.tolist()))}}}" for _, vector in telling],
        },
    )
    connection.execute(
        "INSERT INTO kaizen.embedded AS known VALUES (%(ns)s, %(model)s, %(version)s, %(entity_id)s) "
        "ON CONFLICT (ns, model) DO UPDATE SET version = excluded.version, entity_id = excluded.entity_id "
        "WHERE (known.version, known.entity_id) < (excluded.version, excluded.entity_id)",
        {**values, "version": rows[-1][0], "entity_id": rows[-1][1]},
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())
