"""Tips on commands: how they begin where the shell refused them, and nothing from what they ran."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kaizen.sync.generate.offline import mine
from kaizen.sync.generate.offline.commands import holds_command, rewritten
from kaizen.sync.model import Message, ToolCall, Trajectory

if TYPE_CHECKING:
    from kaizen.sync.generate.offline.claims import Claim


def told(*calls: tuple[str, str]) -> list[Claim]:
    """What is claimed of commands, after a run that gave these, each with its result."""
    messages = [Message(role="user", content="Make the tests pass.", span_id="s")]
    for number, (command, output) in enumerate(calls):
        asked = ToolCall(id=f"c{number}", name="Bash", arguments=json.dumps({"command": command}))
        messages.append(Message(role="assistant", tool_calls=(asked,), span_id="s"))
        messages.append(Message(role="tool", content=output, tool_call_id=asked.id, name="Bash", span_id="s"))
    trajectory = Trajectory(trace_id="t", messages=tuple(messages))
    return [finding.claim for finding in mine(trajectory) if finding.claim.kind == "command"]


@pytest.mark.parametrize(
    ("before", "after", "starts"),
    [
        ("pytest tests/test_a.py", "uv run pytest tests/test_b.py -x", ("pytest", "uv run pytest")),
        ("cd /w && pytest -q", "cd /w && python -m pytest -q", ("pytest", "python -m pytest")),
        ("npm test", "npm run test:unit", ("npm test", "npm run test:unit")),
        ("pytest tests/a.py", "PYTHONPATH=src pytest tests/a.py", ("pytest", "PYTHONPATH=src pytest")),
        # others, more than one, or the same with other values
        ("pytest", "ls", None),
        ("pytest a.py", "pytest b.py", None),
        ("pytest | tail", "uv run pytest", None),
        ("pytest", "uv run pytest > out.txt", None),
        ("pytest", 'sh -c "pytest"', None),
        ("pytest", "uv run $(cat x) pytest", None),
        ("", "uv run pytest", None),
    ],
)
def test_two_commands_differ_in_how_they_begin(
    before: str, after: str, starts: tuple[str, str] | None
) -> None:
    assert rewritten(before, after) == starts


def test_a_command_that_the_shell_refused_is_learned_across_what_was_done_between() -> None:
    refused = "Exit code 127\nbash: pytest: command not found"
    run = [
        ("pytest tests/test_a.py", refused),
        ("ls", "tests"),
        ("uv run pytest tests/test_a.py", "3 passed"),
    ]
    [claim] = told(*run)

    assert (claim.pattern, claim.how, claim.tool) == ("pytest", "uv run pytest", "Bash")
    assert claim.error == "bash: pytest: command not found"
    assert told(*run[:2]) == []


def test_a_test_that_failed_says_nothing_about_how_tests_are_run() -> None:
    failed = "Exit code 1\nFAILED tests/test_a.py::test_b - AssertionError: assert 1 == 2"
    assert told(("pytest tests", failed), ("uv run pytest tests", "3 passed")) == []


def test_a_command_is_found_among_others() -> None:
    assert holds_command("cd /w && uv run pytest -q; ls", "uv run pytest")
    assert not holds_command("cd /w && uv run pytest -q", "pytest")
    assert holds_command("pytest -q", "pytest")
