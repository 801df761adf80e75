"""Run the demo: start Phoenix and a model, run four agents, sync, run them again with the tips, clean up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from kaizen.demo.errors import DemoError
from kaizen.demo.looking import can_be_looked_at, look
from kaizen.demo.model_server import ModelServer
from kaizen.demo.phoenix_server import PhoenixError, PhoenixServer
from kaizen.demo.scenario import load_scenarios
from kaizen.demo.second_run import Run, compare, read_run
from kaizen.store import Store, StoreSettings, open_store
from kaizen.sync import ModelSettings, PhoenixSettings, PhoenixSource, Sync, SyncError, SyncSettings
from kaizen.tips import GUIDELINE, one_line, recall_document

if TYPE_CHECKING:
    from types import FrameType

EXAMPLES = Path(__file__).parent / "examples"
NAMESPACE = "kaizen"

_OFFLINE = "offline"
_SCRIPTED_MODEL = "openai/gpt-4.1-mini"
_AGENT_TIMEOUT_S = 180.0
_TRACES_TIMEOUT_S = 30.0
_FRAMEWORK_MODULES = ("kaizen.auto", "kaizen.recall", "openai", "litellm", "smolagents", "agents")


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """One example: its script, and the Phoenix project that it is traced into."""

    framework: str
    script: str
    project: str


AGENTS = tuple(
    Agent(framework=framework, script=script, project=f"demo-{Path(script).stem.replace('_', '-')}")
    for framework, script in (
        ("OpenAI SDK", "simple_openai.py"),
        ("LiteLLM", "litellm_demo.py"),
        ("smolagents", "smolagents_demo.py"),
        ("OpenAI Agents SDK", "openai_agents_demo.py"),
    )
)


def run_demo(phoenix: Path | None, agent_python: Path | None, *, keep: bool = False) -> None:
    """Run the demo; raise `DemoError` with what to do if a part is missing or fails.

    With `keep`, serve at the end what it left, until Ctrl-C.
    """
    if keep and not can_be_looked_at():
        raise DemoError(
            "--keep needs the page: from a checkout of Kaizen, pip install ./packages/kaizen-serve"
        )
    executable = _phoenix_executable(phoenix)
    python = _agent_python(agent_python)
    started = time.monotonic()
    with _interruptible(), ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kaizen-demo-")))
        _say("1. Starting Phoenix (this takes its time) ...")
        server = _start_phoenix(stack, executable, directory / "phoenix")
        _say(f"   Phoenix is at {server.url} until the demo ends.")
        environ = _model_environment(stack)
        _say("2. Running four agents; all they know of Kaizen is `import kaizen.auto` ...")
        first = _run_agents(AGENTS, python, server.url, environ, directory)
        _say("3. Turning their traces into tips: kaizen sync phoenix --project ...")
        where = StoreSettings(backend="filesystem", data_dir=directory / "store")
        with open_store(where) as store:
            _sync_all(server.url, store, environ)
            tips = store.list(NAMESPACE, type=GUIDELINE, limit=1).entities
            snapshot = directory / "tips.json"
            snapshot.write_text(recall_document(store, NAMESPACE), encoding="utf-8")
        _say("4. What they teach the next run: kaizen tips")
        _run_kaizen(where, "tips")
        for tip in tips:
            _say(f"5. One of them whole: kaizen tips show {tip.id}")
            _run_kaizen(where, "tips", "show", tip.id)
        _say("6. Running the same agents again, now with KAIZEN_RECALL_ENABLED=true ...")
        recall = {
            "KAIZEN_RECALL_ENABLED": "true",
            "KAIZEN_RECALL_FROM": str(snapshot),
            "KAIZEN_NAMESPACE_ID": NAMESPACE,
            # Four agents start at once, maybe on a small machine: each is to have all its tips.
            "KAIZEN_RECALL_TIMEOUT": "20",
            "KAIZEN_RECALL_HOLDOUT": "0",
        }
        again = [replace(agent, project=f"{agent.project}-again") for agent in AGENTS]
        second = _run_agents(again, python, server.url, {**environ, **recall}, directory)
        with open_store(where) as store:
            for agent, before, after in zip(AGENTS, first, second, strict=True):
                _say(f"   {agent.framework}")
                for line in compare(before, after, store, NAMESPACE):
                    _say(f"      {line}")
        took = f"That was the loop, in {time.monotonic() - started:.0f} s."
        if keep:
            _say(took)
            look(where, NAMESPACE, _say)
        else:
            _say(f"{took} Stopping and removing everything.")
            _say("To look at tips, their evidence and their effects in a browser: make demo ARGS=--keep")


def _say(text: str) -> None:
    typer.echo(f"\n{text}" if text[:1].isdigit() or text.startswith("That") else text)
    # A pipe would keep the lines back until the end.
    sys.stdout.flush()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Make SIGTERM unwind like Ctrl-C, so that nothing is left running or lying about."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _phoenix_executable(given: Path | None) -> Path:
    found = given or shutil.which("phoenix")
    if found is None or not Path(found).is_file():
        missing = f"'{given}' is no file" if given else "there is no `phoenix` on PATH"
        raise DemoError(
            f"the demo needs a Phoenix server, and {missing}. Put it into an environment of its own: "
            "python3 -m venv phoenix-env && phoenix-env/bin/pip install arize-phoenix, "
            "then: kaizen demo --phoenix phoenix-env/bin/phoenix"
        )
    return Path(found).absolute()


def _agent_python(given: Path | None) -> Path:
    python = (given or Path(sys.executable)).absolute()
    names = ", ".join(map(repr, _FRAMEWORK_MODULES))
    # They are looked for and not imported, which would take seconds.
    probe = f"import importlib.util as u; print(*(n for n in ({names}) if u.find_spec(n) is None))"
    try:
        answer = subprocess.run([python, "-c", probe], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise DemoError(f"cannot run '{python}' as the agents' Python: {error}") from error
    if missing := answer.stdout.split():
        raise DemoError(
            f"the agents' environment ({python}) lacks {', '.join(missing)}; "
            "from a checkout of Kaizen, run there: pip install ./packages/kaizen-auto "
            "./packages/kaizen-recall './packages/kaizen-demo[agents]'"
        )
    return python


def _start_phoenix(stack: ExitStack, executable: Path, directory: Path) -> PhoenixServer:
    directory.mkdir()
    try:
        return stack.enter_context(PhoenixServer(executable, directory))
    except PhoenixError as error:
        raise DemoError(str(error)) from error


def _model_environment(stack: ExitStack) -> dict[str, str]:
    """Return the environment that names the models: the user's own, or a scripted one for the agents only."""
    environ = dict(os.environ)
    tips, named = ModelSettings.from_environ(environ).tips_model, environ.get("KAIZEN_TIPS_MODEL") or _OFFLINE
    if environ.get("OPENAI_API_KEY") or named != _OFFLINE:
        agents = environ.get("KAIZEN_EXAMPLE_AGENT_MODEL") or (
            ModelSettings.from_environ({}).tips_model if named == _OFFLINE else named
        )
        who = agents if agents == tips else f"{agents} for the agents and {tips} for the tips"
        _say(f"   The model is {who}, by your settings; its provider may charge for it.")
        return environ | {"KAIZEN_EXAMPLE_AGENT_MODEL": agents}
    server = stack.enter_context(ModelServer(scenarios=load_scenarios()))
    _say("   No model is configured, so a SCRIPTED model answers the agents: real HTTP, canned words.")
    _say("   The tips are not scripted: they are mined from the traces, without a model and at no cost.")
    return environ | {
        "OPENAI_API_KEY": "scripted",
        "OPENAI_BASE_URL": server.base_url,
        "KAIZEN_EXAMPLE_AGENT_MODEL": _SCRIPTED_MODEL,
        "KAIZEN_TIPS_MODEL": _OFFLINE,
        "KAIZEN_CONFLICT_RESOLUTION_MODEL": _OFFLINE,
        # The Agents SDK uploads its own traces to OpenAI when there is a key. Ours is none; nothing leaves.
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def _run_agents(
    agents: Sequence[Agent], python: Path, phoenix_url: str, environ: Mapping[str, str], directory: Path
) -> list[Run]:
    runs = []
    with ExitStack() as stack:
        running = [
            (agent, stack.enter_context(_agent_process(agent, python, phoenix_url, environ, directory)))
            for agent in agents
        ]
        for agent, process in running:
            try:
                output, errors = process.communicate(timeout=_AGENT_TIMEOUT_S)
            except subprocess.TimeoutExpired as error:
                raise DemoError(f"{agent.script} did not end within {_AGENT_TIMEOUT_S:g} s") from error
            if process.returncode != 0:
                raise DemoError(f"{agent.script} failed: {(errors or output).strip()[-1000:]}")
            lines = [line for line in output.splitlines() if line.strip()]
            traces = _wait_for_traces(phoenix_url, agent.project)
            _say(f"   {agent.framework:<18} {agent.script:<22} {_counted(traces, 'trace')}. It ended with:")
            _say(f"      {one_line(lines[-1][:120]) if lines else '(nothing)'}")
            runs.append(read_run(phoenix_url, agent.project))
    return runs


@contextmanager
def _agent_process(
    agent: Agent, python: Path, phoenix_url: str, environ: Mapping[str, str], directory: Path
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [python, EXAMPLES / agent.script],
        cwd=directory,
        env={
            **environ,
            "KAIZEN_AUTO_ENABLED": "true",
            "KAIZEN_TRACING_PROJECT": agent.project,
            "KAIZEN_TRACING_ENDPOINT": f"{phoenix_url}/v1/traces",
            # Offline, litellm would wait for a price list.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            # Nor may it read a `.env` that lies above it.
            "LITELLM_MODE": "PRODUCTION",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _wait_for_traces(phoenix_url: str, project: str) -> int:
    """Wait until the spans stop growing: Phoenix answers an export before it has stored it."""
    deadline = time.monotonic() + _TRACES_TIMEOUT_S
    last = (0, 0)
    while True:
        try:
            with PhoenixSource(PhoenixSettings(base_url=phoenix_url, project=project)) as source:
                traces = list(source.index())
        except SyncError:
            traces = []
        seen = (len(traces), sum(len(trace.spans) for trace in traces))
        # A trace without its root is still on its way.
        roots = sum(span.parent_id is None for trace in traces for span in trace.spans)
        if traces and seen == last and roots >= len(traces):
            return len(traces)
        if time.monotonic() > deadline:
            raise DemoError(
                f"no whole traces of project '{project}' arrived in Phoenix within {_TRACES_TIMEOUT_S:g} s"
            )
        last = seen
        time.sleep(0.3)


def _sync_all(phoenix_url: str, store: Store, environ: Mapping[str, str]) -> None:
    """Sync every project into one namespace, in this process: litellm takes seconds to import."""
    models = ModelSettings.from_environ(environ)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        # LiteLLM takes them from the environment of the process only.
        if value := environ.get(name):
            os.environ[name] = value
    for agent in AGENTS:
        settings = PhoenixSettings(base_url=phoenix_url, project=agent.project)
        with PhoenixSource(settings) as source:
            # All agents have ended, so no trace has to settle.
            report = Sync(source, store, SyncSettings(namespace_id=NAMESPACE, quiet_s=0.0), models).run()
        states = ", ".join(f"{count} {state}" for state, count in report.states.items())
        _say(
            f"   --project {agent.project:<24} {_counted(report.traces, 'trace')}: {states}; "
            f"{_counted(report.tips['created'], 'new tip')}, {_counted(report.model_calls, 'model call')}"
        )
        if report.refusal or report.failures:
            reason = report.refusal or report.failures[0].reason
            raise DemoError(f"the sync of project '{agent.project}' failed: {reason}")


def _run_kaizen(where: StoreSettings, *arguments: str) -> None:
    """Run the command as the user will, so that what is shown is what they will see."""
    where_to = {
        "KAIZEN_BACKEND": where.backend,
        "KAIZEN_DATA_DIR": str(where.data_dir),
        "KAIZEN_NAMESPACE_ID": NAMESPACE,
    }
    done = subprocess.run(
        [sys.executable, "-m", "kaizen.cli", *arguments], env={**os.environ, **where_to}, check=False
    )
    if done.returncode:
        raise DemoError(f"`kaizen {' '.join(arguments)}` failed, as it says above")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
