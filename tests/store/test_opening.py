"""Settings, and the way from their backend's name to an open store."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kaizen.store import (
    InvalidInputError,
    Put,
    StoreError,
    StoreSettings,
    available_backends,
    open_store,
    opening,
)
from kaizen.store.backends.filesystem.store import FilesystemStore
from kaizen.store.backends.sqlite.store import FILE_NAME, SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable

THIRD_PARTY = """
from kaizen.store.backends.filesystem.store import FilesystemStore

class Backend:
    @staticmethod
    def open(settings):
        return FilesystemStore(settings.data_dir / "third-party", embedder="none")
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a distribution that registers a backend on `sys.path`, as pip would."""

    def install(backend: str, module: str, code: str, *, extra: str = "") -> None:
        site = tmp_path / "site"
        info = site / "acme_store-1.0.dist-info"
        info.mkdir(parents=True)
        provides = f"Provides-Extra: {extra}\n" if extra else ""
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme-store\nVersion: 1.0\n{provides}")
        (info / "entry_points.txt").write_text(f"[kaizen.store.backends]\n{backend} = {module}:Backend\n")
        (site / f"{module}.py").write_text(code)
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def test_the_defaults_need_no_environment() -> None:
    settings = StoreSettings.from_environ({})
    assert settings == StoreSettings()
    assert (settings.backend, settings.namespace_id) == ("sqlite", "kaizen")
    assert settings.data_dir == Path("~/.local/share/kaizen").expanduser()


def test_the_environment_is_read(tmp_path: Path) -> None:
    settings = StoreSettings.from_environ(
        {"KAIZEN_BACKEND": " FileSystem ", "KAIZEN_DATA_DIR": str(tmp_path), "KAIZEN_NAMESPACE_ID": "team"}
    )
    assert settings == StoreSettings(backend="filesystem", data_dir=tmp_path, namespace_id="team")


def test_what_is_passed_wins_over_the_environment(tmp_path: Path) -> None:
    environ = {"KAIZEN_BACKEND": "x", "KAIZEN_DATA_DIR": "/x", "KAIZEN_NAMESPACE_ID": "x"}
    settings = StoreSettings.from_environ(environ, backend="y", data_dir=tmp_path, namespace_id="y")
    assert settings == StoreSettings(backend="y", data_dir=tmp_path, namespace_id="y")


@pytest.mark.parametrize(
    ("url", "backend", "place"),
    [
        ("sqlite:/srv/kaizen", "sqlite", "/srv/kaizen"),
        ("filesystem:///srv/my%20tips", "filesystem", "/srv/my tips"),
        ("postgresql://ann@db/kaizen", "postgres", "postgresql://ann@db/kaizen"),
    ],
)
def test_a_backend_may_be_one_url_which_wins_over_the_place_of_the_environment(
    url: str, backend: str, place: str
) -> None:
    environ = {"KAIZEN_DATA_DIR": "/x", "KAIZEN_PG_DSN": "x", "KAIZEN_EMBEDDER": "none"}
    for settings in (
        StoreSettings.from_environ(environ, backend=url),
        StoreSettings.from_environ({**environ, "KAIZEN_BACKEND": url}),
    ):
        assert (settings.backend, settings.embedder) == (backend, "none")
        assert place == (settings.pg_dsn if backend == "postgres" else str(settings.data_dir))


@pytest.mark.parametrize("url", ["sqlite:", "://x", ":"])
def test_a_url_that_names_no_store_is_refused_with_how_to_write_one(url: str) -> None:
    with pytest.raises(InvalidInputError, match="sqlite:DIRECTORY"):
        StoreSettings.from_url(url)


def test_empty_variables_count_as_unset() -> None:
    environ = {"KAIZEN_BACKEND": "", "KAIZEN_DATA_DIR": "", "KAIZEN_NAMESPACE_ID": ""}
    assert StoreSettings.from_environ(environ) == StoreSettings()


def test_the_data_directory_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert StoreSettings(data_dir=Path("data")).data_dir == tmp_path / "data"
    assert StoreSettings(data_dir=Path("~/data")).data_dir == tmp_path / "home" / "data"


@pytest.mark.parametrize("data_dir", ["~no-such-user/x", "a\0b"])
def test_a_data_directory_that_cannot_be_is_refused(data_dir: str) -> None:
    with pytest.raises(InvalidInputError, match="KAIZEN_DATA_DIR"):
        StoreSettings.from_environ({"KAIZEN_DATA_DIR": data_dir})


@pytest.mark.parametrize("data_dir", [5, None, ["a"], b"bytes"])
def test_a_data_directory_of_the_wrong_type_is_an_error_of_ours(data_dir: object) -> None:
    with pytest.raises(InvalidInputError, match=r"^data_dir is .*; write it like ~/.local/share/kaizen$"):
        StoreSettings(data_dir=data_dir)  # type: ignore[arg-type]


def test_a_connection_string_is_never_shown() -> None:
    dsn = "postgresql://ann:secret@db/kaizen"
    assert "secret" not in repr(StoreSettings(pg_dsn=dsn)) + repr(StoreSettings.from_url(dsn))
    with pytest.raises(InvalidInputError) as caught:
        StoreSettings(pg_dsn=["secret"])  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("backend", "kind", "place"), [("sqlite", SqliteStore, FILE_NAME), ("filesystem", FilesystemStore, "")]
)
def test_our_backends_are_registered_and_opened(backend: str, kind: type, place: str, tmp_path: Path) -> None:
    assert backend in available_backends()
    with open_store(StoreSettings(backend=backend, data_dir=tmp_path)) as store:
        assert isinstance(store, kind)
        assert store.location == str(tmp_path / place)


def test_what_is_known_by_heart_is_what_is_registered() -> None:
    registered = {entry_point.name: entry_point.value for entry_point in entry_points(group=opening.GROUP)}
    assert opening._KNOWN.items() <= registered.items()


def test_an_unknown_backend_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"'milvus'.*KAIZEN_BACKEND.*filesystem"):
        open_store(StoreSettings(backend="milvus", data_dir=tmp_path))


def test_a_backend_of_a_third_party_is_opened_by_its_name(
    install: Callable[..., None], tmp_path: Path
) -> None:
    install("Acme", "acme_backend_good", THIRD_PARTY)
    assert {"acme", "filesystem", "sqlite"} <= set(available_backends())
    with open_store(StoreSettings(backend="acme", data_dir=tmp_path)) as store:
        store.create_namespace("n")
    assert (tmp_path / "third-party" / "namespaces" / "n.jsonl").exists()


def test_a_backend_that_is_not_asked_for_is_not_imported(
    install: Callable[..., None], tmp_path: Path
) -> None:
    install("acme", "acme_backend_bomb", "raise SystemExit('imported')")
    assert "acme" in available_backends()
    open_store(StoreSettings(data_dir=tmp_path)).close()
    assert "acme_backend_bomb" not in sys.modules


@pytest.mark.parametrize(("extra", "requirement"), [("", "acme-store"), ("acme", r"acme-store\[acme\]")])
def test_a_backend_whose_driver_is_missing_says_what_to_install(
    install: Callable[..., None], tmp_path: Path, extra: str, requirement: str
) -> None:
    install("acme", "acme_backend_broken", "import no_such_driver", extra=extra)
    with pytest.raises(StoreError, match=f"'acme'.*no_such_driver.*pip install '{requirement}'"):
        open_store(StoreSettings(backend="acme", data_dir=tmp_path))


def test_a_backend_that_is_not_in_its_module_is_said(install: Callable[..., None], tmp_path: Path) -> None:
    install("acme", "acme_backend_empty", "")
    with pytest.raises(StoreError, match=r"'acme'.*acme-store"):
        open_store(StoreSettings(backend="acme", data_dir=tmp_path))


def test_importing_the_package_brings_nothing_but_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import kaizen.store, kaizen.store.backends.filesystem.store;"
        "print(*{name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["kaizen"]


READ_ONLY = """
import sys
from pathlib import Path
from kaizen.store import Put, StoreSettings, UnavailableError, open_store
settings = StoreSettings(backend=sys.argv[1], data_dir=Path(sys.argv[2]), embedder="none")
with open_store(settings) as store:
    print([namespace.id for namespace in store.list_namespaces()], store.count("n"))
    print(store.get("n", "e").content, [hit.entity.id for hit in store.search("n", "needle")])
    for write in (lambda: store.commit("n", [Put(type="t", content="")]), store.check):
        try:
            write()
        except UnavailableError as error:
            print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="permission bits are a POSIX feature")
@pytest.mark.parametrize("backend", ["sqlite", "filesystem"])
def test_a_read_only_directory_is_read_and_left_alone(backend: str, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with open_store(StoreSettings(backend=backend, data_dir=data_dir, embedder="none")) as store:
        store.create_namespace("n")
        store.commit("n", [Put(id="e", type="t", content="a needle")])
    paths = [data_dir, *data_dir.rglob("*")]
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        done = subprocess.run(
            [*without_the_rights_of_root(), sys.executable, "-c", READ_ONLY, backend, str(data_dir)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert [data_dir, *data_dir.rglob("*")] == paths
    finally:
        for path in paths:
            path.chmod(path.stat().st_mode | 0o200)
    listed, read, *refused = done.stdout.splitlines()
    assert listed == "['n'] 1"
    assert read == "a needle ['e']"
    assert len(refused) == 2
    assert all(str(data_dir) in line and "access" in line for line in refused)


def without_the_rights_of_root() -> list[str]:
    """Return how to start a program for which permission bits count, whoever runs the tests."""
    if os.geteuid() != 0:
        return []
    rights = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]
