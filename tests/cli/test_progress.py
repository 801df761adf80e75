"""Progress of a sync where there is no terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kaizen.cli.sync import progress
from kaizen.cli.sync.progress import SyncProgress
from kaizen.sync import Report


def a_report() -> Report:
    report = Report(run_id="r", source="phoenix", project="p", namespace_id="kaizen")
    report.traces_read = 20
    report.started_at = datetime.now(UTC) - timedelta(seconds=10)
    for _ in range(20):
        report.count("learned", processed=True)
    report.prompt_tokens, report.completion_tokens, report.cost_usd = 1_200, 34, 0.5
    return report


def test_it_is_a_plain_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_EVERY_S", 0.0)
    with SyncProgress(quiet=False) as shown:
        shown.update(a_report())
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(
        "Committing: 20 traces: 20 learned; 2.0 a second, 0 new tips, 0 model calls, 1,234 tokens,"
    )
    assert said.err.endswith("0.5000 USD\n")


def test_a_price_that_is_not_known_is_called_unknown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_EVERY_S", 0.0)
    report = a_report()
    report.cost_usd = None
    with SyncProgress(quiet=False) as shown:
        shown.update(report)
    assert "price unknown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("share", "left"),
    [
        (0.5, "; about 10 s left"),
        (0.25, "; about 30 s left"),
        (0.1, "; about 2 min left"),
        (0.02, "; about 8 min left"),
        (1.0, "; about 0 s left"),
        # Nothing can be told yet.
        (0.001, ""),
        (None, ""),
    ],
)
def test_it_says_about_how_long_it_goes_on(share: float | None, left: str) -> None:
    report = a_report()
    report.share = share
    assert progress._line(report).endswith(f"0.5000 USD{left}")


def test_for_programs_there_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_EVERY_S", 0.0)
    with SyncProgress(quiet=True) as shown:
        shown.update(a_report())
    assert capsys.readouterr().err == ""
