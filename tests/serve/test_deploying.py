"""What lies in deploy/ runs what there is: its commands parse, its packages and variables are known."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.test_docs import check_kaizen, settings_page

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def commands() -> list[str]:
    in_compose = [service["command"] for service in COMPOSE["services"].values() if "command" in service]
    unit = (DEPLOY / "kaizen-serve.service").read_text(encoding="utf-8")
    image = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    started = re.findall(r"^ExecStart=\S+/(kaizen .*)$", unit, re.MULTILINE)
    by_default = [
        " ".join(re.findall(r'"([^"]+)"', line)) for line in re.findall(r"^CMD (.*)$", image, re.MULTILINE)
    ]
    return [*in_compose, *started, *by_default]


@pytest.mark.parametrize("command", commands())
def test_a_command_is_one_that_there_is(command: str) -> None:
    program, *words = shlex.split(command)
    assert program == "kaizen"
    check_kaizen(words)


def test_the_image_holds_the_packages_that_the_commands_need() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    installed = re.findall(r"/src/(kaizen-\w+)", text)
    assert set(installed) >= {"kaizen-store", "kaizen-sync", "kaizen-cli", "kaizen-recall", "kaizen-serve"}
    assert all((ROOT / "packages" / name / "pyproject.toml").is_file() for name in installed)


def test_the_variables_are_known() -> None:
    known = settings_page()
    named = {name for service in COMPOSE["services"].values() for name in service.get("environment", {})}
    unit = (DEPLOY / "kaizen-serve.service").read_text(encoding="utf-8")
    named |= set(re.findall(r"^Environment=(\w+)=", unit, re.MULTILINE))
    ours = {name for name in named if name.startswith("KAIZEN_")}
    assert len(ours) >= 3
    assert all(name in known for name in ours)


def test_every_mount_and_secret_of_the_compose_file_is_declared() -> None:
    for service in COMPOSE["services"].values():
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
        assert {mount.partition(":")[0] for mount in service.get("volumes", ())} <= set(COMPOSE["volumes"])
        # Only what listens on this machine is published.
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert set(service.get("depends_on", ())) <= set(COMPOSE["services"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = (DEPLOY / "kaizen-serve.service").read_text(encoding="utf-8")
    # The program is where it is installed, which is not here.
    (tmp_path / "kaizen-serve.service").write_text(unit.replace("/opt/kaizen/bin/kaizen", "/bin/true"))
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "kaizen-serve.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "kaizen-serve.service" not in ended.stderr, ended.stderr
