"""Tables of expressions: parts by name, line breaks for the reader only, every file in order."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from kaizen.sync.expressions import read_expressions

ROOT = Path(str(files("kaizen.sync")))
TABLES = {
    "generate/grounding.toml": ("literals", "words"),
    "secrets/names.toml": ("after", "before", "words", "beside", "values"),
    "secrets/places.toml": ("expressions", "prefixed", "shapes", "emails", "cards"),
}
FILES = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.toml"))


def test_a_part_stands_for_its_expression_and_line_breaks_do_not_count() -> None:
    failing = read_expressions("trust/negation.toml")["failing"][0]
    assert "{sep}" not in failing
    assert "\n" not in failing
    assert "|unable|impossible)[\\s(]{1,3}" in failing


def test_spaces_within_a_line_count() -> None:
    assert "set aside" in read_expressions("trust/injection.toml")["overriding"][1]


def test_a_file_is_read_once() -> None:
    assert read_expressions("trust/orders.toml") is read_expressions("trust/orders.toml")


@pytest.mark.parametrize("file", FILES)
def test_every_expression_of_every_file_compiles(file: str) -> None:
    found = [
        expression
        for table in TABLES.get(file, ("expressions",))
        for listed in read_expressions(file, table).values()
        for expression in listed
    ]
    assert found
    assert all(re.compile(expression) for expression in found)


@pytest.mark.parametrize("file", FILES)
def test_no_line_of_a_file_is_longer_than_a_line_of_code(file: str) -> None:
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 110] == []
