"""The contract of a store as tests: subclass `StoreContract`, give it `open_store`, and run pytest.

    from functools import partial

    class TestMyStore(StoreContract):
        @pytest.fixture
        def open_store(self, tmp_path):
            return partial(MyBackend.open, StoreSettings(backend="mine", data_dir=tmp_path))

`open_store` opens a store on the same data each time it is called, and is empty when a test starts. Other
processes call it too, so it must survive pickling: a `partial` of something importable does, a lambda
does not. Needs the extra `kaizen-store[testing]`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

# One by one, since pytest warns of the package itself: that is imported already.
pytest.register_assert_rewrite(
    *(f"{__name__}.{path.stem}" for path in Path(__file__).parent.glob("[!_]*.py"))
)

from kaizen.store.testing.commits import CommitContract  # noqa: E402 - only now are asserts rewritten
from kaizen.store.testing.concurrency import ConcurrencyContract, CrashContract  # noqa: E402
from kaizen.store.testing.entities import EntityContract  # noqa: E402
from kaizen.store.testing.fixtures import NAMESPACE, OpenStore  # noqa: E402
from kaizen.store.testing.histories import HistoryContract, RestoreContract  # noqa: E402
from kaizen.store.testing.hostile_input import HostileInputContract  # noqa: E402
from kaizen.store.testing.models import ModelContract  # noqa: E402
from kaizen.store.testing.namespaces import NamespaceContract  # noqa: E402
from kaizen.store.testing.searches import SearchContract  # noqa: E402

__all__ = ["NAMESPACE", "OpenStore", "StoreContract"]


class StoreContract(
    NamespaceContract,
    EntityContract,
    CommitContract,
    HistoryContract,
    RestoreContract,
    SearchContract,
    HostileInputContract,
    ConcurrencyContract,
    CrashContract,
    ModelContract,
):
    """Everything a store promises; `kill_rounds`, `model_examples`, `model_steps` set how long it looks."""
