"""Running agents as processes of their own, with a collector to send to and a model to call."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV")


def run_python(
    source: str,
    *,
    folder: Path,
    collector_url: str,
    model_url: str,
    enabled: bool = True,
    python: tuple[str, ...] = (),
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run source as `agent.py` in a folder, and return how it ended, with stdout and stderr as text.

    Nothing is inherited from the environment but what a process needs to run; an empty value unsets.
    """
    agent = folder / "agent.py"
    agent.write_text(textwrap.dedent(source))
    given = {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        "KAIZEN_AUTO_ENABLED": "true" if enabled else "",
        "KAIZEN_TRACING_ENDPOINT": collector_url,
        "OPENAI_BASE_URL": model_url,
        "OPENAI_API_KEY": "no-key",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        **environment,
    }
    return subprocess.run(
        [sys.executable, *python, str(agent)],
        env={name: value for name, value in given.items() if value},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
