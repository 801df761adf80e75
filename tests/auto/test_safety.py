"""Whatever breaks on our side, the agent says what it says without us, and ends as it ends without us."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.cli.demo.model_server import ModelServer
from tests.auto.collector import Collector, closed_port
from tests.auto.process import run_python

if TYPE_CHECKING:
    from pathlib import Path

AGENT = """
import sys
try:
    import kaizen.auto
except ImportError:
    pass
from openai import OpenAI

client = OpenAI()
for question in ("hello", "and again"):
    messages = [{"role": "user", "content": question}]
    print(client.chat.completions.create(model="gpt-4o-mini", messages=messages).choices[0].message.content)
stream = client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True)
print([chunk.choices[0].delta.content for chunk in stream if chunk.choices])
try:
    OpenAI(base_url="http://127.0.0.1:9/v1", max_retries=0).responses.create(model="gpt-4o", input="hello")
except Exception as exc:
    print(type(exc).__name__)
sys.exit(3)
"""

# Put in front of the agent: what is broken about its environment.
BROKEN = {
    "the instrumentor is missing": """
import sys
sys.modules["openinference.instrumentation.openai"] = None
""",
    "opentelemetry is missing": """
import sys
sys.modules["opentelemetry"] = None
""",
    "the instrumentor exits on import": """
import sys, types
class Broken(types.ModuleType):
    def __getattr__(self, name): raise SystemExit(9)
sys.modules["openinference.instrumentation.openai"] = Broken("broken")
""",
    "the instrumentor raises when it instruments": """
from openinference.instrumentation.openai import OpenAIInstrumentor
def fail(self, **kwargs): raise RuntimeError("broken")
OpenAIInstrumentor._instrument = fail
""",
    "the instrumentor raises on every call": """
import openinference.instrumentation.openai._request as request
def fail(*args, **kwargs): raise RuntimeError("broken")
request._Request.__call__ = fail
""",
    "the tracer raises on every call": """
from opentelemetry.sdk.trace import Tracer
def fail(*args, **kwargs): raise RuntimeError("broken")
Tracer.start_span = fail
""",
    "span processing raises": """
import kaizen.auto.collapse as collapse
def fail(*args, **kwargs): raise RuntimeError("broken")
collapse.scope_of = fail
""",
    "the exporter raises": """
import kaizen.auto.export as export
def fail(*args, **kwargs): raise RuntimeError("broken")
export.HttpSender.send = fail
""",
    "there are no threads": """
import threading
def fail(self): raise RuntimeError("can't start new thread")
threading.Thread.start = fail
""",
    "warnings are errors": """
import warnings
warnings.simplefilter("error")
""",
    "the provider cannot be built": """
import openinference.instrumentation as openinference
def fail(*args, **kwargs): raise RuntimeError("broken")
openinference.TracerProvider.__init__ = fail
""",
}

NONSENSE = {
    "KAIZEN_TRACING_EXIT_TIMEOUT": "abc",
    "KAIZEN_TRACING_ENDPOINT": "http://[::nonsense",
    "KAIZEN_TRACING_COLLAPSE": "perhaps",
    "OTEL_BSP_MAX_QUEUE_SIZE": "-5",
    "OTEL_BSP_SCHEDULE_DELAY": "soon",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "pigeon",
    "OTEL_RESOURCE_ATTRIBUTES": "a,b=c,=",
    "PHOENIX_CLIENT_HEADERS": "a,b=\n,=c;;",
    "PHOENIX_API_KEY": "\u00fc\n",
    "PHOENIX_GRPC_PORT": "many",
}
SETTINGS = {
    "the settings are nonsense": NONSENSE,
    "nobody listens": {"KAIZEN_TRACING_ENDPOINT": f"http://127.0.0.1:{closed_port()}"},
    "the span limits are nonsense": {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many"},
    "gRPC to a collector that speaks HTTP": {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    "home is not writable": {"HOME": "/proc/nowhere"},
}
CASES = {"tracing is off": ("", {"KAIZEN_AUTO_ENABLED": ""})}
CASES |= {name: (source, {}) for name, source in BROKEN.items()}
CASES |= {name: ("", settings) for name, settings in SETTINGS.items()}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    def run(case: str) -> Any:
        source, settings = CASES[case]
        return run_python(
            source + AGENT,
            folder=tmp_path_factory.mktemp("agent"),
            **{"collector_url": collector.url, "model_url": model_server.base_url, **settings},
        )

    with Collector() as collector, ModelServer() as model_server, ThreadPoolExecutor(2) as pool:
        return dict(zip(CASES, pool.map(run, CASES), strict=True))


@pytest.mark.parametrize("case", CASES)
def test_the_agent_does_what_it_does_without_us(case: str, results: dict[str, Any]) -> None:
    ended, without = results[case], results["tracing is off"]
    assert without.returncode == 3, without.stderr
    assert len(without.stdout.splitlines()) == 4
    assert (ended.stdout, ended.returncode) == (without.stdout, 3), ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_agent_without_the_package_runs(tmp_path: Path) -> None:
    with ModelServer() as model_server:
        ended = run_python(
            "import sys; sys.modules['kaizen.auto'] = None\n" + AGENT,
            folder=tmp_path,
            collector_url="http://127.0.0.1:9",
            model_url=model_server.base_url,
        )
    assert ended.returncode == 3
