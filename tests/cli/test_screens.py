"""What is drawn for people: it fits the terminal, is wrapped or cut, and takes no stored text for markup."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kaizen.cli.drawing import console, print_fields, print_table, print_text
from kaizen.cli.output import printable
from kaizen.store import Put, Store, StoreSettings, open_store
from tests.support.command import kaizen

N = "kaizen"
TEXT = "Write `date` in the form [bold]99AAA99[/bold] :smile: \x1b[31mred, and say so. " * 5


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("KAIZEN_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("KAIZEN_EMBEDDER", "none")
    monkeypatch.setenv("COLUMNS", "80")
    with open_store(StoreSettings(data_dir=tmp_path / "data", embedder="none")) as store:
        store.create_namespace(N)
        source = {"project": "shop", "trace_id": "ab" * 16, "quote": TEXT, "url": "http://x/" + "y" * 120}
        metadata = {
            "category": "optimization",
            "status": "quarantined",
            "quarantine_reason": TEXT,
            "support": 12,
            "implementation_steps": [TEXT, TEXT],
            "sources": [source],
        }
        puts = [Put(type="guideline", content=f"{n} {TEXT}", metadata=metadata) for n in range(5)]
        store.commit(N, puts, actor="kaizen sync", reason=TEXT, run_id="run-" + "7" * 36)
        yield store


@pytest.mark.parametrize(
    "command",
    [
        "tips",
        "entities list --all-types",
        "tips search form",
        "tips review",
        "entities history",
        "entities history ID",
        "tips show ID",
        "namespaces list",
        "namespaces info",
        "sync status",
        "doctor --no-model --url http://127.0.0.1:9",
        "entities consolidate",
    ],
)
def test_no_line_is_wider_than_the_terminal(command: str, store: Store) -> None:
    tip_id = store.list(N, limit=1).entities[0].id
    ended = kaizen(*(tip_id if word == "ID" else word for word in command.split()))
    lines = ended.stdout.splitlines()
    assert max(map(len, lines), default=0) <= 80, [line for line in lines if len(line) > 80]
    assert "\x1b" not in ended.stdout
    assert "defect" not in ended.stderr


def test_a_tip_is_told_from_the_others_by_the_id_that_a_list_shows() -> None:
    rows = [line.split()[0] for line in kaizen("tips").stdout.splitlines() if line.startswith("0")]
    assert len(set(rows)) == 5
    for shown in rows:
        assert kaizen("tips", "show", shown).exit_code == 0


def test_wide_columns_give_way_so_that_the_last_one_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """As in `kaizen sync status`."""
    cells = ["2026-11-27 04:08:59 UTC", "ended", "customer-service-agent", "2576", "0.0014", "4 learned"]
    print_table(["RUN", "STATE", "PROJECT", "TOKENS", "USD", "PROCESSED"], [cells])
    header, *lines = capsys.readouterr().out.splitlines()
    assert max(map(len, (header, *lines))) <= 80
    assert header.endswith("PROCESSED")
    assert lines[0].endswith("4 learned")
    assert [line.split()[0] for line in lines] == ["2026-11-27", "04:08:59"]


def test_a_long_text_is_cut_between_words(store: Store) -> None:
    shown = kaizen("tips").stdout
    assert "…" in shown
    cut_words = {line.split()[-1] for line in shown.splitlines() if line.endswith("…")}
    assert {word.rstrip("…") for word in cut_words} <= set(printable(TEXT).split())


def test_stored_text_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    text = "[bold]x[/bold] :smile: [link=http://x]y[/link]"
    print_table(["A", "B"], [[text, ""], ["", text]])
    print_text(text)
    print_fields({"name": text})
    assert capsys.readouterr().out.count("[bold]x[/bold] :smile:") == 4


def test_without_a_terminal_or_a_width_each_row_is_one_plain_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    lines = kaizen("tips").stdout.splitlines()
    assert len(lines) == 6
    assert all(line.endswith("…") for line in lines[1:])
    assert len(kaizen("tips", "show", lines[1].split()[0]).stdout.splitlines()[0]) > 200


def test_colours_are_for_terminals_and_not_with_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        encoding = "utf-8"

        def __init__(self) -> None:
            self.text = ""

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            self.text += text
            return len(text)

        def flush(self) -> None: ...

    monkeypatch.setenv("TERM", "xterm-256color")
    coloured, plain = Terminal(), Terminal()
    console(coloured).print("x", style="red")  # type: ignore[arg-type]
    monkeypatch.setenv("NO_COLOR", "1")
    console(plain).print("x", style="red")  # type: ignore[arg-type]
    assert "\x1b[31m" in coloured.text
    assert plain.text == "x\n"
