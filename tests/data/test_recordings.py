"""The recorded span dumps: all there, small, and of no particular machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.data.record import FRAMEWORKS, TARGET

NAMES = [name for framework in FRAMEWORKS for name in (framework, f"{framework}_failed")]


def test_each_framework_has_a_run_that_ends_and_one_that_fails() -> None:
    assert {path.stem for path in TARGET.glob("*.json")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_small_and_names_no_machine(name: str) -> None:
    file = Path(TARGET, f"{name}.json")
    assert file.stat().st_size < 300_000
    text = file.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|Users|tmp|usr|work|opt|var)/", text)
    assert set(re.findall(r"127\.0\.0\.1:\d+", text)) <= {"127.0.0.1:8000"}


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_holds_llm_spans_in_order_and_an_error_where_the_run_failed(name: str) -> None:
    recording = json.loads(Path(TARGET, f"{name}.json").read_text(encoding="utf-8"))
    spans = recording["spans"]
    assert recording["versions"]
    assert [span["start_time"] for span in spans] == sorted(span["start_time"] for span in spans)
    last_call = [span for span in spans if span["span_kind"] == "LLM"][-1]
    assert last_call["status_code"] == ("ERROR" if name.endswith("_failed") else "OK")
