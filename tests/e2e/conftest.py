"""Selecting one agent of the loop by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let `-k openai` run the OpenAI SDK's agent alone: to pytest it is a part of `openai_agents` too."""
    if config.getoption("keyword") != "openai":
        return
    other = [item for item in items if "openai_agents" in item.name]
    items[:] = [item for item in items if item not in other]
    config.hook.pytest_deselected(items=other)
