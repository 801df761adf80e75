"""What `import kaizen.auto` does to a process that does nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.auto.conftest import RunAgent

NEW_MODULES = """
    import json, sys, time
    # The interpreter has it already where a .pth file or sitecustomize of the environment wants it.
    import __future__
    before, started = set(sys.modules), time.process_time()
    import kaizen.auto
    took_s, after = time.process_time() - started, set(sys.modules)
    hooks = [type(finder).__module__ for finder in sys.meta_path if isinstance(finder, object)]
    print(json.dumps({"modules": sorted(after - before), "hooks": hooks, "took_s": took_s}))
"""
HEAVY = ("opentelemetry", "openinference", "phoenix", "openai", "litellm", "smolagents", "agents", "wrapt")


def test_disabled_it_loads_itself_only_and_installs_nothing(run_agent: RunAgent) -> None:
    ended = run_agent(NEW_MODULES, enabled=False, cold=True)
    seen = json.loads(ended.stdout)
    assert seen["modules"] == ["kaizen", "kaizen.auto"]
    assert "kaizen.auto.hook" not in seen["hooks"]
    # The promises are 2 ms here and 15 ms below, kept on an idle machine: benchmarks/auto.py measures them.
    assert seen["took_s"] < 0.02
    assert ended.stderr == ""


def test_enabled_it_loads_nothing_of_opentelemetry_phoenix_or_a_framework(run_agent: RunAgent) -> None:
    ended = run_agent(NEW_MODULES, cold=True)
    seen = json.loads(ended.stdout)
    assert not [name for name in seen["modules"] if name.split(".")[0] in HEAVY]
    assert not [name for name in seen["modules"] if name in ("logging", "dataclasses", "typing", "asyncio")]
    assert seen["hooks"][0] == "kaizen.auto.hook"
    assert seen["took_s"] < 0.08
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("value", "enabled"),
    [
        ("true", True),
        ("TRUE", True),
        ("1", True),
        ("Yes", True),
        (" on ", True),
        ("", False),
        ("0", False),
        ("false", False),
        ("no", False),
        ("enabled", False),
    ],
)
def test_the_variable_decides(value: str, enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    from kaizen import auto
    from kaizen.auto import tracing

    assert tracing.current() is None
    monkeypatch.setenv("KAIZEN_AUTO_ENABLED", value)
    importlib.reload(auto)
    try:
        assert (tracing.current() is not None) is enabled
    finally:
        auto.disable_tracing()


def test_an_agent_that_imports_no_framework_is_left_alone(run_agent: RunAgent) -> None:
    ended = run_agent(
        """
        import sys
        import kaizen.auto
        import json, email, http.client
        assert kaizen.auto.get_instrumented_frameworks() == []
        assert not kaizen.auto.is_already_instrumented()
        assert kaizen.auto.flush_traces()
        assert not [name for name in sys.modules if name.startswith("opentelemetry")]
        """,
        cold=True,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_every_public_function_works_when_tracing_is_off(run_agent: RunAgent) -> None:
    ended = run_agent(
        """
        import sys
        import kaizen.auto as auto
        assert auto.get_tracer_provider() is None
        assert auto.get_instrumented_frameworks() == []
        assert auto.is_already_instrumented() is False
        assert auto.flush_traces() is True
        auto.disable_tracing()
        with auto.agent_run("run") as run:
            run.set_input("question")
            run.set_output("answer")

        @auto.agent_run("run")
        def answer(question): return question.upper()

        assert answer("yes") == "YES"
        assert not [name for name in sys.modules if name.startswith("opentelemetry")]
        assert auto.status().state == "off"
        for name in auto.__all__: assert callable(getattr(auto, name))
        """,
        enabled=False,
        cold=True,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
