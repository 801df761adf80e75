"""The Python in the package's README and in its guide runs, and names settings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from openinference.instrumentation import config

from kaizen import auto
from kaizen.auto.pipeline.export import Outcome

ROOT = Path(__file__).parents[2]
PAGES = ("packages/kaizen-auto/README.md", "docs/guides/tracing-details.md")
SNIPPETS = [
    (page, number, snippet)
    for page in PAGES
    for number, snippet in enumerate(re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL))
]


@pytest.mark.parametrize(("page", "number", "snippet"), SNIPPETS)
def test_the_snippet_runs(page: str, number: int, snippet: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("logging.Logger.setLevel", lambda *_: None)
    monkeypatch.setenv("KAIZEN_TRACING_EXIT_TIMEOUT", "0")
    # Whoever has a Phoenix on the port of the examples must not find them in it.
    monkeypatch.setattr("kaizen.auto.pipeline.export.HttpSender.send", lambda *_: Outcome(True))
    try:
        exec(compile(snippet, f"{page}:{number}", "exec"), {"__name__": "snippet"})
    finally:
        auto.disable_tracing()


@pytest.mark.parametrize("page", PAGES)
def test_hiding_is_described_with_the_names_that_openinference_reads(page: str) -> None:
    named = set(re.findall(r"OPENINFERENCE_[A-Z0-9_]+[A-Z0-9]", (ROOT / page).read_text()))
    assert named - {"OPENINFERENCE_HIDE"} <= {
        value for value in vars(config).values() if isinstance(value, str)
    }
