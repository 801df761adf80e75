"""What every test gets: a clean environment, a directory of its own, a scripted model, a real Phoenix."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tracemalloc  # noqa: F401 - pytest imports it where garbage is collected: also while it is being imported
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kaizen.demo.model_server import ModelServer
from kaizen.demo.phoenix_server import PhoenixServer
from tests.support.postgres import PostgresServer
from tests.support.shared import SharedServer, shared_server

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"

CLEARED = (
    "KAIZEN_",
    "PHOENIX_",
    "OPENAI_",
    "OPENINFERENCE_",
    "OTEL_",
    "LITELLM_",
    "AZURE_",
    "HF_",
    "XDG_",
    "PG",
    # how wide and colourful a terminal is
    "COLUMNS",
    "NO_COLOR",
    "FORCE_COLOR",
)
CLEARED_ENDINGS = ("_API_KEY", "_API_BASE", "_PROXY", "_proxy")

# read before the environment is cleared
PHOENIX = Path(os.environ.get("KAIZEN_TEST_PHOENIX") or ROOT / ".venvs/phoenix/bin/phoenix")

# litellm downloads its price list when it is imported, and test modules are imported before any fixture runs
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"


@pytest.fixture(autouse=True)
def _clean_environment(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.startswith(CLEARED) or name.endswith(CLEARED_ENDINGS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    # nothing of a test leaves the machine: openai-agents, for one, uploads its traces to OpenAI by itself
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _close_stray_event_loop() -> Iterator[None]:
    yield
    # a synchronous call of litellm makes an event loop for the main thread, and leaves it open
    if "litellm" in sys.modules:
        with warnings.catch_warnings(action="ignore"), contextlib.suppress(RuntimeError):
            asyncio.get_event_loop().close()
            asyncio.set_event_loop(None)


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    """A scripted model of the test's own, with the built-in scenarios."""
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="session")
def phoenix_executable() -> Path:
    """The real Phoenix that the tests start."""
    if not os.access(PHOENIX, os.X_OK):
        pytest.fail(
            f"There is no Phoenix at {PHOENIX}. Run `make test`, or `hatch env create phoenix`, or name "
            "another one in KAIZEN_TEST_PHOENIX.",
            pytrace=False,
        )
    return PHOENIX


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A directory that all processes of this test run have in common."""
    base = tmp_path_factory.getbasetemp()
    # The processes of pytest-xdist have directories of their own in that of the run.
    return base.parent if hasattr(request.config, "workerinput") else base


@pytest.fixture(scope="session")
def phoenix(phoenix_executable: Path, run_directory: Path) -> Iterator[SharedServer]:
    """One real Phoenix for all tests of all test processes; each test uses a project of its own."""
    directory = run_directory / "phoenix"
    with shared_server(
        directory, lambda: PhoenixServer(phoenix_executable, directory, deadline_s=100).start()
    ) as server:
        yield server


@pytest.fixture(scope="session")
def postgres(run_directory: Path) -> Iterator[SharedServer]:
    """One real PostgreSQL for all tests of all test processes; each process makes databases of its own."""
    with shared_server(run_directory / "postgres", lambda: PostgresServer().start()) as server:
        yield server


@pytest.fixture
def project() -> str:
    """The name of a Phoenix project that no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the working tree."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Data that lies beside the repository on some machines, and is no part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("../shared/data is not on this machine")
    return SHARED_DATA
