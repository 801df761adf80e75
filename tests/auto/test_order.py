"""Whatever order and form the imports come in, the calls are traced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.auto.collector import Collector
    from tests.auto.conftest import RunAgent

ASK = """
def ask(client):
    messages = [{"role": "user", "content": "hello"}]
    return client.chat.completions.create(model="gpt-4o-mini", messages=messages)
"""

# Executes the whole of the framework once more, as in a process that has never seen it.
COLD = """
import sys
for name in list(sys.modules):
    if name.split(".")[0] == "openai": del sys.modules[name]
"""

ORDERS = {
    "kaizen first": """
import kaizen.auto
import openai
ask(openai.OpenAI())
""",
    "the framework first, by name": """
from openai import OpenAI
import kaizen.auto
ask(OpenAI())
""",
    "a client that existed before": """
from openai import OpenAI
client = OpenAI()
import kaizen.auto
ask(client)
""",
    "a submodule first": """
import kaizen.auto
from openai.types.chat import ChatCompletion
from openai import OpenAI
assert isinstance(ask(OpenAI()), ChatCompletion)
""",
    "imported inside a function, long after": """
import kaizen.auto
def agent():
    import openai
    ask(openai.OpenAI())
agent()
""",
    "reloaded": """
import importlib
import kaizen.auto
import openai
importlib.reload(openai)
ask(openai.OpenAI())
""",
    "lazily loaded after kaizen": """
import importlib.util, sys
import kaizen.auto
spec = importlib.util.find_spec("openai")
spec.loader = importlib.util.LazyLoader(spec.loader)
module = importlib.util.module_from_spec(spec)
sys.modules["openai"] = module
spec.loader.exec_module(module)
assert "kaizen.auto.pipeline.provider" not in sys.modules
ask(module.OpenAI())
""",
    "lazily loaded before kaizen, used after": """
import importlib.util, sys
spec = importlib.util.find_spec("openai")
spec.loader = importlib.util.LazyLoader(spec.loader)
module = importlib.util.module_from_spec(spec)
sys.modules["openai"] = module
spec.loader.exec_module(module)
import kaizen.auto
assert "kaizen.auto.pipeline.provider" not in sys.modules
ask(module.OpenAI())
""",
    "six threads at once": COLD
    + """
import threading
import kaizen.auto
barrier, failures = threading.Barrier(6), []
def work():
    barrier.wait()
    try:
        import openai
        openai.OpenAI
    except BaseException as exc:
        failures.append(exc)
threads = [threading.Thread(target=work) for _ in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert not failures, failures
ask(sys.modules["openai"].OpenAI())
""",
    "switched on while another thread imports": COLD
    + """
import threading, time
import os; os.environ["KAIZEN_AUTO_ENABLED"] = "1"
thread = threading.Thread(target=lambda: __import__("openai"))
thread.start()
while "openai" not in sys.modules: time.sleep(0.001)
import kaizen.auto
thread.join()
deadline = time.monotonic() + 20
while not kaizen.auto.get_instrumented_frameworks() and time.monotonic() < deadline: time.sleep(0.01)
ask(sys.modules["openai"].OpenAI())
""",
    "enabled twice, and the cell run again": """
import kaizen.auto
from kaizen.auto import enable_tracing
enable_tracing()
from openai import OpenAI
first = enable_tracing()
assert first is enable_tracing() is kaizen.auto.get_tracer_provider()
ask(OpenAI())
""",
}


@pytest.mark.parametrize("order", ORDERS)
def test_the_call_is_traced_once(order: str, run_agent: RunAgent, collector: Collector) -> None:
    ended = run_agent(ASK + ORDERS[order])
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert [span.name for span in collector.spans] == ["ChatCompletion"]


def test_a_function_kept_from_before_is_warned_of_once(run_agent: RunAgent, collector: Collector) -> None:
    ended = run_agent("""
        from litellm import completion
        import litellm
        import kaizen.auto
        ask = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
        completion(**ask)
        litellm.completion(**ask)
    """)
    assert ended.returncode == 0
    warned = [line for line in ended.stderr.splitlines() if "Import kaizen.auto first" in line]
    assert len(warned) == 1
    assert "__main__.completion" in warned[0]
    assert "acompletion" not in warned[0]
    assert sorted(span.name for span in collector.spans) == ["ChatCompletion", "completion"]


def test_modules_of_the_user_s_own_that_share_a_name_are_left_alone(
    run_agent: RunAgent, collector: Collector, tmp_path: Path
) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("from .planner import plan\n")
    (tmp_path / "agents" / "planner.py").write_text("def plan():\n    return 'planned'\n")
    (tmp_path / "openai.py").write_text("value = 1\n")
    ended = run_agent(
        """
        import sys
        import kaizen.auto
        import agents, openai
        print(agents.plan(), openai.value, type(agents.__spec__.loader).__name__)
        assert agents.__loader__ is agents.__spec__.loader
        assert not [name for name in sys.modules if name.startswith("opentelemetry")]
        assert kaizen.auto.get_instrumented_frameworks() == []
        """,
        cold=True,
    )
    assert (ended.stdout, ended.stderr) == ("planned 1 SourceFileLoader\n", "")


def test_a_framework_that_fails_to_import_fails_with_its_own_error(
    run_agent: RunAgent, tmp_path: Path
) -> None:
    (tmp_path / "smolagents.py").write_text("raise ZeroDivisionError('its own')\n")
    ended = run_agent("""
        import sys
        import kaizen.auto
        for _ in range(2):
            try:
                import smolagents
            except ZeroDivisionError as exc:
                print(exc, "smolagents" in sys.modules)
        try:
            import openai.no_such_module
        except ModuleNotFoundError as exc:
            print(exc)
    """)
    assert ended.stdout == "its own False\nits own False\nNo module named 'openai.no_such_module'\n"


def test_the_loader_behind_the_hook_still_answers(run_agent: RunAgent) -> None:
    ended = run_agent("""
        import importlib.util, inspect, pkgutil
        import kaizen.auto
        spec = importlib.util.find_spec("smolagents")
        print(spec.loader.is_package("smolagents"), spec.loader.get_filename("smolagents") == spec.origin)
        print(len(pkgutil.get_data("openai", "py.typed")))
        print("OpenAI" in inspect.getsource(importlib.import_module("openai")))
    """)
    assert ended.stdout == "True True\n0\nTrue\n", ended.stderr


def test_only_the_chosen_frameworks_are_traced(run_agent: RunAgent) -> None:
    ended = run_agent(
        """
        import kaizen.auto as auto
        auto.enable_tracing(frameworks=["litellm", "agents", "nonsense"])
        import openai
        print(auto.get_instrumented_frameworks())
        auto.disable_tracing()
        auto.enable_tracing(frameworks="litellm, openai")
        print(auto.get_instrumented_frameworks())
        """,
        enabled=False,
    )
    assert ended.stdout == "[]\n['openai']\n"
    assert ended.stderr.count("nonsense") == 1
