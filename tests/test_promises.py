"""What users were promised, row by row, and the tests that hold each row.

A key is a piece of the promise's own words in ../shared/PROMISES.md; a value names tests as `file::function`.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from kaizen.auto import configuration
from kaizen.auto.options import Options
from kaizen.store import StoreSettings
from kaizen.sync import ModelSettings, PhoenixSettings

TESTS = Path(__file__).parent
PROMISES = TESTS.parents[1] / "shared" / "PROMISES.md"

LOOP = "e2e/test_e2e_pipeline.py::test_an_agent_run_becomes_tips"
SYNC = "cli/test_sync_command.py"
COMMANDS = "cli/test_commands.py"
HERE = "test_promises.py"
DOCS = "test_docs.py::test_a_command_in_the_documentation_is_one_that_there_is"

HELD: dict[str, list[str]] = {
    # Tracing
    "at the top of an agent": [
        LOOP,
        "auto/test_safety.py::test_an_agent_without_the_package_runs",
        "e2e/test_examples.py::test_an_example_is_short_and_starts_with_the_promised_import",
    ],
    "without it the import does nothing": [
        "auto/test_import.py::test_the_variable_decides",
        "auto/test_import.py::test_disabled_it_loads_itself_only_and_installs_nothing",
    ],
    "names the Phoenix project, default": [
        LOOP,
        "auto/test_configuration.py::test_the_project",
        f"{HERE}::test_the_defaults_are_those_promised",
    ],
    "is the collector, default": [
        "auto/test_configuration.py::test_the_endpoint",
        f"{HERE}::test_the_defaults_are_those_promised",
    ],
    "overrides.": [
        "auto/test_existing.py::test_a_provider_set_before_the_framework_is_imported_is_in_charge",
        "auto/test_existing.py::test_forced_beside_a_provider_that_traces_something_else",
    ],
    "Built on `phoenix.otel.register()`": [
        "auto/test_frameworks.py::test_a_phoenix_server_beside_the_agent_changes_no_span",
        "auto/test_existing.py::test_a_user_s_phoenix_register_keeps_its_processor_when_forced",
    ],
    "OpenAI SDK: chat completions": [
        LOOP,
        "auto/test_frameworks.py::test_openai_chat_streamed_responses_embeddings_and_async",
    ],
    "LiteLLM: every provider": [
        LOOP,
        "auto/test_frameworks.py::test_litellm_calls_are_one_span_each_with_their_tokens",
    ],
    "smolagents: agent steps": [
        LOOP,
        "auto/test_frameworks.py::test_smolagents_runs_have_one_llm_span_per_request_however_many_layers",
    ],
    "OpenAI Agents SDK: runs": [
        LOOP,
        "auto/test_frameworks.py::test_openai_agents_runs_have_one_llm_span_per_request",
    ],
    "The examples, each one short file": [
        LOOP,
        "e2e/test_examples.py::test_an_example_runs_untraced_and_uses_the_tips_model_when_it_has_none_of_its_own",
        "e2e/test_examples.py::test_an_example_is_short_and_starts_with_the_promised_import",
    ],
    # Phoenix
    "server at `http://localhost:6006`": [DOCS, f"{HERE}::test_the_defaults_are_those_promised"],
    "shows the project;": [LOOP, DOCS],
    # Sync
    "gives the command `kaizen`": [f"{COMMANDS}::test_the_installed_script_runs_the_app"],
    "fetches traces, generates tips, stores them": [
        LOOP,
        f"{SYNC}::test_the_report_accounts_for_every_trace_of_the_project",
        f"{SYNC}::test_failed_traces_are_left_for_later_until_they_are_asked_for",
        f"{SYNC}::test_a_limit_counts_traces_oldest_first_and_the_next_sync_goes_on",
        f"{SYNC}::test_options_beat_the_environment",
    ],
    "selects the backend": [
        LOOP,
        "store/test_opening.py::test_the_environment_is_read",
        f"{COMMANDS}::test_the_backend_may_be_a_kind_or_a_url",
        "cli/test_bad_input.py::test_an_unknown_backend_is_named_beside_those_there_are",
        "sync/test_settings.py::test_the_models_are_those_the_variables_name",
    ],
    "The older spelling": [f"{COMMANDS}::test_the_older_spelling_runs_the_sync"],
    "Also read:": [
        "sync/test_settings.py::test_the_first_variable_that_names_a_server_counts",
        "sync/test_settings.py::test_the_models_are_those_the_variables_name",
        "sync/test_settings.py::test_the_provider_may_be_named_apart",
        f"{SYNC}::test_the_namespace_of_the_environment_is_used",
        f"{COMMANDS}::test_options_beat_the_environment_and_that_beats_the_env_file",
        f"{HERE}::test_the_defaults_are_those_promised",
    ],
    "shows the tips in namespace": [
        LOOP,
        f"{COMMANDS}::test_a_tip_is_added_listed_shown_and_deleted",
    ],
    "A tip's metadata tells where it came from": [LOOP, f"{SYNC}::test_a_tip_tells_where_it_came_from"],
    # End-to-end
    "runs the whole loop for every supported agent": [LOOP],
    "run one.": [f"{HERE}::test_each_agent_of_the_loop_is_selected_by_its_name"],
    # Troubleshooting
    "the package is not installed in the agent's environment": [
        "cli/test_doctor.py::test_a_missing_kaizen_auto_is_noted_with_how_to_install_it",
        "auto/test_safety.py::test_an_agent_without_the_package_runs",
    ],
    "`KAIZEN_AUTO_ENABLED` is not true;": [
        "cli/test_doctor.py::test_tracing_that_is_off_is_noted",
        "auto/test_report.py::test_a_machine_where_it_is_off",
    ],
    "wrong project name": ["auto/test_configuration.py::test_the_project", LOOP],
    "existing tracer": ["auto/test_existing.py::test_forced_beside_a_provider_that_traces_something_else"],
    "the agent runs on regardless": [
        "auto/test_exit.py::test_a_bad_collector_delays_the_exit_no_longer_than_allowed",
        "auto/test_exit.py::test_calls_never_wait_for_a_silent_collector",
        "cli/test_doctor.py::test_a_phoenix_that_is_down_fails_with_how_to_start_it",
    ],
    # Built with
    "The packages that the project was asked to be built with": [
        f"{HERE}::test_a_promised_package_is_a_dependency_of_its_member_and_imported_there",
        f"{HERE}::test_the_workspace_is_built_with_hatch",
    ],
}

# What each member was promised to be built with: its distributions, and the module of each.
BUILT_WITH = {
    "kaizen-auto": {
        "arize-phoenix-otel": "phoenix.otel",
        "openinference-instrumentation-openai": "openinference.instrumentation.openai",
        "openinference-instrumentation-litellm": "openinference.instrumentation.litellm",
        "openinference-instrumentation-smolagents": "openinference.instrumentation.smolagents",
        "openinference-instrumentation-openai-agents": "openinference.instrumentation.openai_agents",
    },
    "kaizen-store": {"pydantic-settings": "pydantic_settings"},
    "kaizen-sync": {
        "arize-phoenix-client": "phoenix.client",
        "litellm": "litellm",
        "pydantic-settings": "EnvironmentSettings",
    },
    "kaizen-cli": {"typer": "typer", "pydantic-settings": "EnvironmentSettings"},
}


@cache
def functions(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("promise", HELD)
def test_the_tests_that_hold_a_promise_are_there(promise: str) -> None:
    assert HELD[promise]
    for test in HELD[promise]:
        file, _, function = test.partition("::")
        assert function in functions(file), test


def test_every_promise_is_held_and_nothing_else() -> None:
    if not PROMISES.is_file():
        pytest.skip("../shared/PROMISES.md is not on this machine")
    rows = promised_rows(PROMISES.read_text(encoding="utf-8"))
    assert [row for row in rows if not any(key in row for key in HELD)] == []
    assert [key for key in HELD if not any(key in row for row in rows)] == []


@pytest.mark.parametrize(
    ("member", "package"), [(m, p) for m, packages in BUILT_WITH.items() for p in packages]
)
def test_a_promised_package_is_a_dependency_of_its_member_and_imported_there(
    member: str, package: str, repository: Path
) -> None:
    folder = repository / "packages" / member
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert package in {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}  # type: ignore[index]
    module = BUILT_WITH[member][package]
    assert any(module in path.read_text(encoding="utf-8") for path in folder.glob("src/**/*.py"))


def test_the_workspace_is_built_with_hatch(repository: Path) -> None:
    root = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    assert root["tool"]["hatch"]["envs"]["default"]["workspace"]["members"] == ["packages/*"]
    for path in repository.glob("packages/*/pyproject.toml"):
        assert (
            tomllib.loads(path.read_text(encoding="utf-8"))["build-system"]["build-backend"]
            == "hatchling.build"
        )


def promised_rows(text: str) -> list[str]:
    """Items, each with its further lines, rows of tables, and the paragraph on what it is built with.

    Items that only head a list are none.
    """
    rows = re.findall(r"^The packages that the project was asked .*", text, re.MULTILINE)
    for line in text.splitlines():
        if re.match(r"\s*- ", line) or (line.startswith("|") and not re.match(r"\|(-| symptom)", line)):
            rows.append(line.strip())
        elif line.startswith("  ") and rows:
            rows[-1] += f" {line.strip()}"
    return rows


def test_the_defaults_are_those_promised() -> None:
    traced = configuration.resolve(Options())
    assert (traced.project, traced.endpoint) == ("kaizen-agent", "http://localhost:6006/v1/traces")
    read = PhoenixSettings.from_environ(os.environ)
    assert (read.project, read.base_url) == ("kaizen-agent", "http://localhost:6006")
    assert StoreSettings.from_environ(os.environ).namespace_id == "kaizen"
    page = (TESTS.parent / "docs/reference/settings.md").read_text(encoding="utf-8")
    assert f"`KAIZEN_MODEL_NAME`, then `{ModelSettings().tips_model}`" in page
    assert f"| `KAIZEN_BACKEND` | `{StoreSettings().backend}` |" in page


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"KAIZEN_TRACING_PROJECT": "shop"},
        {"PHOENIX_PROJECT_NAME": "shop"},
        {"KAIZEN_TRACING_PROJECT": "shop", "PHOENIX_PROJECT_NAME": "other"},
        {"PHOENIX_PROJECT": "shop"},
        {"KAIZEN_TRACING_ENDPOINT": "http://phoenix.example:6006/v1/traces"},
        {"KAIZEN_TRACING_ENDPOINT": "https://phoenix.example/prefix"},
        {"PHOENIX_COLLECTOR_ENDPOINT": "http://phoenix.example:6006"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://phoenix.example:6006"},
        {
            "KAIZEN_TRACING_ENDPOINT": "http://one.example:6006",
            "PHOENIX_COLLECTOR_ENDPOINT": "http://two.example:6006",
        },
    ],
    ids=lambda environ: ", ".join(environ) or "nothing set",
)
def test_one_environment_means_the_same_place_to_tracing_and_to_the_sync(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    traced = configuration.resolve(Options())
    read = PhoenixSettings.from_environ(os.environ)
    assert traced.project == read.project
    assert traced.endpoint == f"{read.base_url}/v1/traces"


# The other names are part of no other; each of these is a run of pytest.
@pytest.mark.parametrize("agent", ["openai", "openai_agents"])
def test_each_agent_of_the_loop_is_selected_by_its_name(agent: str, repository: Path) -> None:
    module, function = LOOP.split("::")
    command = [sys.executable, "-m", "pytest", f"tests/{module}", "-k", agent, "--collect-only", "-q"]
    said = subprocess.run(
        [*command, "-p", "no:randomly"],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    ).stdout
    assert [line for line in said.splitlines() if "::" in line] == [f"tests/{module}::{function}[{agent}]"]
