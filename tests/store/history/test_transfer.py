"""Namespaces move between stores and files with all their history, and go on where they were cut off."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from kaizen.store import (
    ConflictError,
    CorruptDataError,
    Delete,
    InvalidInputError,
    NotFoundError,
    Put,
    Store,
    copy_namespace,
    export_lines,
    import_lines,
    merge_entities,
    namespace_digest,
    read_entities,
)

N = "team"
BACKENDS = ("filesystem", "sqlite")


@pytest.fixture
def source(make_store: Callable[[str], Store]) -> Store:
    store = make_store("sqlite")
    store.create_namespace(N)
    for number in range(250):
        store.commit(N, [Put(id=f"e{number % 90}", type="t", content=str(number), metadata={"n": 1.0})])
    store.commit(N, [Delete(id="e7")], actor="ann", reason="\0why", run_id="r")
    return store


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(BACKENDS, 2)))
def test_a_copy_has_the_same_history(
    source: Store, make_store: Callable[[str], Store], one: str, other: str
) -> None:
    first, second = make_store(one), make_store(other)
    reached: list[int] = []
    done = copy_namespace(source, first, N, progress=reached.append)
    assert reached == [100, 200, 251]
    assert (done.commits, done.version, done.entities) == (251, 251, 89)
    assert copy_namespace(first, second, N).digest == done.digest == namespace_digest(source, N)
    assert second.commits(N, limit=1000) == source.commits(N, limit=1000)


def test_a_copy_goes_on_where_it_was_cut_off(source: Store, make_store: Callable[[str], Store]) -> None:
    target = make_store("filesystem")

    def cut_off(version: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_namespace(source, target, N, progress=cut_off)
    assert target.get_namespace(N).version == 100
    assert copy_namespace(source, target, N).commits == 151
    source.commit(N, [Put(id="late", type="t", content="")])
    assert copy_namespace(source, target, N).commits == 1
    assert copy_namespace(source, target, N).commits == 0


def test_a_target_with_other_commits_is_left_alone(source: Store, make_store: Callable[[str], Store]) -> None:
    changed = make_store("sqlite")
    copy_namespace(source, changed, N)
    changed.commit(N, [Put(id="x", type="t", content="theirs")])
    other = make_store("filesystem")
    other.create_namespace(N)
    for target in (changed, other):
        before = namespace_digest(target, N)
        with pytest.raises(ConflictError, match="is not a copy"):
            copy_namespace(source, target, N)
        assert namespace_digest(target, N) == before
    source.commit(N, [Put(id="x", type="t", content="ours")])
    with pytest.raises(ConflictError, match="another commit"):
        copy_namespace(source, changed, N)


def test_what_is_not_there_is_not_copied(source: Store, make_store: Callable[[str], Store]) -> None:
    with pytest.raises(NotFoundError):
        copy_namespace(source, make_store("sqlite"), "missing")


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_export_is_imported_without_loss(
    source: Store, make_store: Callable[[str], Store], backend: str
) -> None:
    lines = list(export_lines(source, N))
    target = make_store(backend)
    done = import_lines(target, N, lines, name="file")
    assert (done.commits, done.entities, done.digest) == (251, 89, namespace_digest(source, N))
    assert import_lines(target, N, lines, name="file").commits == 0
    assert import_lines(target, "other", lines, name="file").commits == 251
    with pytest.raises(ConflictError, match="more commits"):
        import_lines(target, N, lines[:100], name="file")
    target.create_namespace("changed")
    target.commit("changed", [Put(id="x", type="t", content="theirs")])
    with pytest.raises(ConflictError, match="another commit"):
        import_lines(target, "changed", lines, name="file")


def test_an_import_goes_on_where_it_was_cut_off(source: Store, make_store: Callable[[str], Store]) -> None:
    lines = list(export_lines(source, N))
    target = make_store("sqlite")
    with pytest.raises(CorruptDataError, match=r"file, line 152:"):
        import_lines(target, N, [*lines[:151], b"{"], name="file")
    assert target.get_namespace(N).version == 100
    assert import_lines(target, N, lines, name="file").commits == 151


@pytest.mark.parametrize("lines", [[], [b"hello"], [b"{}"], [b'{"kaizen_journal": 1}'], [b"\xff"]])
def test_what_is_no_export_is_refused(make_store: Callable[[str], Store], lines: list[bytes]) -> None:
    with pytest.raises(CorruptDataError, match="file, line 1:"):
        import_lines(make_store("sqlite"), N, lines, name="file")


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_export_that_does_not_hang_together_is_named_and_changes_nothing(
    source: Store, make_store: Callable[[str], Store], backend: str
) -> None:
    header, first, *_ = export_lines(source, N)
    target = make_store(backend)
    for wrong, said in (
        (first.replace(b'"revision":1', b'"revision":2'), "gets revision 2"),
        (b'%s[{"delete":"e0"}]}' % first[: first.index(b'[{"put"')], "is deleted and was not there"),
    ):
        with pytest.raises(CorruptDataError, match=f"file, line 2: .*{said}"):
            import_lines(target, N, [header, wrong], name="file")
        with pytest.raises(CorruptDataError, match=f"file, line 2: .*{said}"):
            read_entities([header, wrong], N, name="file")
    with pytest.raises(InvalidInputError, match=r"commit 1 .*lone surrogate"):
        import_lines(
            target, N, [header, first.replace(b'"content":"0"', b'"content":"\\ud800"')], name="file"
        )
    assert target.get_namespace(N).version == 0
    assert import_lines(target, N, [header, first], name="file").commits == 1


def test_entities_are_merged_in_one_commit(source: Store, make_store: Callable[[str], Store]) -> None:
    target = make_store("sqlite")
    target.create_namespace("mine")
    target.commit("mine", [Put(id="e0", type="t", content="mine"), Put(id="own", type="t", content="own")])
    entities = read_entities(export_lines(source, N), "mine", name="file")
    commit = merge_entities(target, "mine", entities, actor="ann", reason="import")
    assert commit is not None
    assert len(commit.changes) == 89
    assert target.get("mine", "e0").content == source.get(N, "e0").content
    assert target.get("mine", "own").content == "own"
    assert merge_entities(target, "mine", entities, actor="ann", reason="import") is None
