"""A real Phoenix that starts, takes spans, and goes away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from kaizen.demo.phoenix_server import PhoenixError, PhoenixServer
from tests.support.polling import wait_until
from tests.support.spans import lesson_span, read_spans, send_spans


def test_spans_sent_to_phoenix_can_be_read_back(phoenix: PhoenixServer, project: str) -> None:
    span = lesson_span("one")
    send_spans(phoenix.url, project, [span])
    (read,) = read_spans(phoenix.url, project)
    assert read["context"] == span["context"]
    assert read["attributes"]["llm.input_messages.0.message.content"] == "What is LESSON-one about?"


@pytest.mark.parametrize("project", ["with/slash", "with space"])
def test_a_project_may_have_any_name(phoenix: PhoenixServer, project: str) -> None:
    send_spans(phoenix.url, project, [lesson_span("named")])
    assert read_spans(phoenix.url, project)


def test_phoenix_listens_on_loopback_only_and_has_a_version(phoenix: PhoenixServer) -> None:
    assert phoenix.url.startswith("http://127.0.0.1:")
    assert httpx.get(f"{phoenix.url}/v1/projects", trust_env=False).headers["x-phoenix-server-version"]


def test_a_missing_executable_is_named(tmp_path: Path) -> None:
    with pytest.raises(PhoenixError, match=r"no executable Phoenix at .*nowhere"):
        PhoenixServer(tmp_path / "nowhere", tmp_path).start()


def test_a_phoenix_that_dies_says_why(tmp_path: Path) -> None:
    broken = _executable(tmp_path, "import sys; sys.exit('the port is taken')")
    with pytest.raises(PhoenixError, match=r"exit code 1; the end of its log:\nthe port is taken"):
        PhoenixServer(broken, tmp_path / "work").start()


def test_a_phoenix_that_never_answers_is_given_up_and_stopped(tmp_path: Path) -> None:
    silent = _executable(tmp_path, "import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    server = PhoenixServer(silent, tmp_path / "work", deadline_s=1.0)
    with pytest.raises(PhoenixError, match="did not answer within 1 s"):
        server.start()
    assert not _is_running(int(server.log.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_phoenix_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    silent = _executable(tmp_path, "import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    start = (
        "import sys, pathlib; from kaizen.demo.phoenix_server import PhoenixServer;"
        "PhoenixServer(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])).start()"
    )
    parent = subprocess.Popen([sys.executable, "-c", start, str(silent), str(tmp_path / "work")])
    log = tmp_path / "work" / "phoenix.log"
    pid = int(wait_until(lambda: log.exists() and log.read_text().strip(), what="the child runs"))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not _is_running(pid), what="the child has ended")


def _executable(tmp_path: Path, code: str) -> Path:
    path = tmp_path / "phoenix"
    path.write_text(f"#!{sys.executable}\n{code}\n")
    path.chmod(0o755)
    return path


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # a child that nobody waited for is dead, yet still in the table
        return sys.platform != "linux" or ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
