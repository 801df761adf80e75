"""Recall by hand: what it gives, when it gives nothing, and what it puts on spans."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kaizen.recall
from kaizen.recall import arecall, no_recall, recall
from kaizen.recall.context import current_attributes, current_unit
from kaizen.recall.recalled import NOTHING
from tests.support.snapshots import document, tip

PAY = tip("pay-1", content="Give amounts in cents.", tool="pay", trigger="A payment", p=0.5)
FLIGHT = tip("flight-1", content="Ask for the booking code first.", trigger="A customer changes a flight")


@pytest.fixture(autouse=True)
def _source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tips.json").write_bytes(document([PAY, FLIGHT]))
    monkeypatch.setenv("KAIZEN_RECALL_FROM", str(tmp_path / "tips.json"))
    monkeypatch.setenv("KAIZEN_RECALL_TIMEOUT", "30")
    monkeypatch.setenv("KAIZEN_RECALL_HOLDOUT", "0")


def test_tips_come_as_notes_and_as_one_block() -> None:
    recalled = recall("change my flight", tools=["pay"])
    assert recalled
    assert [each.id for each in recalled.tips] == ["pay-1", "flight-1"]
    assert "cents" in recalled.notes["pay"]
    assert "cents" not in recalled.text
    assert "booking code" in recalled.text
    assert "cents" in recalled.full_text
    assert "booking code" in recalled.full_text


def test_where_nothing_fits_there_is_nothing() -> None:
    recalled = recall("write a poem", tools=["other"])
    assert not recalled
    assert (recalled.text, recalled.full_text, dict(recalled.notes), recalled.attributes()) == (
        "",
        "",
        {},
        {},
    )


def test_definitions_are_tools_too() -> None:
    definition = {"type": "function", "function": {"name": "pay", "parameters": {}}}
    assert recall("", tools=[definition]).notes.keys() == {"pay"}


@pytest.mark.parametrize("value", ["false", "0", "no", "OFF"])
def test_switched_off_wins_over_the_code(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIZEN_RECALL_ENABLED", value)
    assert recall("change my flight") is NOTHING


def test_code_inside_no_recall_is_given_nothing() -> None:
    with no_recall():
        assert recall("change my flight") is NOTHING
        with no_recall():
            pass
        assert recall("change my flight") is NOTHING
    assert recall("change my flight")


def test_the_number_of_tokens_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIZEN_RECALL_MAX_TOKENS", "10")
    assert not recall("change my flight", tools=["pay"])


@pytest.mark.parametrize("variable", ["TIMEOUT", "REFRESH", "MAX_TOKENS", "HOLDOUT"])
@pytest.mark.parametrize("value", ["many", "-1", "nan", "inf", "", " "])
def test_a_setting_that_makes_no_sense_counts_as_unset(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable != "TIMEOUT":
        monkeypatch.setenv(f"KAIZEN_RECALL_{variable}", value)
        assert recall("change my flight").held_out + recall("change my flight").shown


@pytest.mark.parametrize("task", [None, 3, b"x", ["x"]])
def test_nothing_is_raised_whatever_is_passed(task: Any) -> None:
    assert recall(task) is NOTHING
    assert recall("x", tools=3) is NOTHING  # type: ignore[arg-type]


def test_a_run_in_no_trace_is_its_own_unit() -> None:
    assert recall("change my flight").unit == current_unit("\nchange my flight")
    assert recall("change my flight", unit="mine").unit == "mine"
    assert recall("change my flight").unit != recall("change a flight").unit


def test_a_run_in_a_trace_counts_as_its_session_or_as_the_trace() -> None:
    from openinference.instrumentation import using_session
    from opentelemetry.sdk.trace import TracerProvider

    tracer = TracerProvider().get_tracer("t")
    with tracer.start_as_current_span("run") as span:
        trace_id = f"{span.get_span_context().trace_id:032x}"
        assert recall("change my flight").unit == trace_id
        with using_session("session-7"):
            assert recall("change my flight").unit == "session-7"


def test_spans_inside_say_what_was_shown() -> None:
    from openinference.instrumentation import using_metadata
    from openinference.instrumentation.context_attributes import get_attributes_from_context

    recalled = recall("change my flight", tools=["pay"])
    with using_metadata({"team": "a"}), recalled.applied() as inside:
        assert inside is recalled
        assert current_attributes() == recalled.attributes()
        metadata = json.loads(str(dict(get_attributes_from_context())["metadata"]))
    assert metadata == {"team": "a", **recalled.attributes()}
    assert json.loads(metadata["kaizen.recall.shown"]) == ["pay-1@1", "flight-1@1"]
    assert current_attributes() == {}


def test_an_error_inside_is_the_callers() -> None:
    with pytest.raises(KeyError), recall("change my flight").applied():
        raise KeyError("x")
    assert current_attributes() == {}


async def in_a_loop() -> list[str]:
    return [each.id for each in (await arecall("change my flight")).tips]


def test_arecall_gives_the_same() -> None:
    import asyncio

    assert asyncio.run(in_a_loop()) == ["flight-1"]


# Processes


def run(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    paths = [str(Path(path).parents[1]) for path in kaizen.recall.__path__]
    return subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {paths!r}\n{code}", *options],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


def test_only_the_standard_library_is_imported_and_nothing_is_printed() -> None:
    done = run(
        "from kaizen.recall import recall\n"
        "assert recall('change my flight', tools=['pay']).text\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "assert not names - sys.stdlib_module_names - {'__main__', 'kaizen'}, names"
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_the_import_alone_imports_nothing() -> None:
    done = run(
        "import __future__, os\nbefore = set(sys.modules)\nimport kaizen.recall\n"
        "assert set(sys.modules) - before == {'kaizen', 'kaizen.recall'}, set(sys.modules) - before"
    )
    assert done.stderr == ""


def test_a_short_script_ends_at_once_whatever_the_source_does() -> None:
    done = run(
        "import socket, os, time\n"
        "silent = socket.create_server(('127.0.0.1', 0))\n"
        "os.environ['KAIZEN_RECALL_FROM'] = f'http://127.0.0.1:{silent.getsockname()[1]}'\n"
        "os.environ['KAIZEN_RECALL_TIMEOUT'] = '0.1'\n"
        "from kaizen.recall import recall\n"
        "recall('x')\n"
        "import atexit\n"
        "started = time.monotonic()\n"
        "atexit.register(lambda: print(time.monotonic() - started < 0.5))"
    )
    assert done.stdout == "True\n"
