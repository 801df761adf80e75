"""`.env` of the working directory: what it may set, and what a cloned repository's must not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kaizen.cli.env_file import read_env_file
from kaizen.sync import SettingsError
from tests.support.command import kaizen, kaizen_process
from tests.support.slow import SLOW

if TYPE_CHECKING:
    from kaizen.demo.model_server import ModelServer

ELSEWHERE = "http://elsewhere.example:1"


def counted(text: str, **environ: str) -> dict[str, str]:
    Path(".env").write_text(text)
    return dict(read_env_file(Path(".env"), environ).counted)


def ignored(text: str, **environ: str) -> dict[str, str]:
    Path(".env").write_text(text)
    return dict(read_env_file(Path(".env"), environ).ignored)


# What it may set


def test_own_variables_and_keys_of_providers_count() -> None:
    text = (
        "KAIZEN_TIPS_MODEL=m\nexport PHOENIX_PROJECT='p'\nOPENAI_API_KEY=k\nHF_TOKEN=t\nAWS_ACCESS_KEY_ID=i\n"
    )
    assert counted(text) == {
        "KAIZEN_TIPS_MODEL": "m",
        "PHOENIX_PROJECT": "p",
        "OPENAI_API_KEY": "k",
        "HF_TOKEN": "t",
        "AWS_ACCESS_KEY_ID": "i",
    }


@pytest.mark.parametrize(
    "name", ["PATH", "PYTHONPATH", "SSL_CERT_FILE", "LITELLM_MODE", "PGHOST", "DATABASE_URL", "LD_PRELOAD"]
)
def test_other_names_are_not_read(name: str) -> None:
    assert counted(f"{name}=x\nOPENAI_API_KEY=k") == {"OPENAI_API_KEY": "k"}


def test_a_key_of_the_environment_is_not_put_into_a_value() -> None:
    assert counted("PHOENIX_URL=http://x/${OPENAI_API_KEY}", OPENAI_API_KEY="secret") == {
        "PHOENIX_URL": "http://x/${OPENAI_API_KEY}"
    }


@pytest.mark.parametrize("name", ["KAIZEN_DEMO_PHOENIX", "KAIZEN_DEMO_AGENT_PYTHON"])
def test_no_program_to_start_is_taken_from_it(name: str) -> None:
    assert counted(f"{name}=./evil") == {}
    assert name in ignored(f"{name}=./evil")


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("KAIZEN_TIPS_MODEL=file", {"KAIZEN_TIPS_MODEL": "environment"}),
        ("KAIZEN_TIPS_MODEL=file", {"KAIZEN_MODEL_NAME": "environment"}),
        ("KAIZEN_TRACING_PROJECT=file", {"PHOENIX_PROJECT_NAME": "environment"}),
        ("PHOENIX_URL=http://file", {"KAIZEN_TRACING_ENDPOINT": "http://environment"}),
        ("PHOENIX_URL=http://file\nPHOENIX_PORT=1", {"PHOENIX_HOST": "environment"}),
        ("OPENAI_BASE_URL=http://file", {"OPENAI_API_BASE": "http://environment"}),
        ("PHOENIX_API_KEY=file", {"PHOENIX_CLIENT_HEADERS": "authorization=environment"}),
    ],
)
def test_the_environment_goes_before_it_whichever_variable_says_it(
    text: str, environ: dict[str, str]
) -> None:
    assert counted(text, **environ) == {}


def test_a_variable_that_stands_for_less_leaves_the_rest_to_the_file() -> None:
    assert counted("KAIZEN_MODEL_NAME=file", KAIZEN_TIPS_MODEL="environment") == {"KAIZEN_MODEL_NAME": "file"}


# Endpoints and proxies


OPENAI = "OPENAI_BASE_URL=http://x\n"
PROXY = "HTTPS_PROXY=http://x\n"
PHOENIX = "PHOENIX_URL=http://x\n"


@pytest.mark.parametrize(
    ("text", "environ", "counts"),
    [
        (OPENAI, {}, False),
        (OPENAI, {"OPENAI_API_KEY": "mine"}, False),
        (OPENAI + "OPENAI_API_KEY=k", {}, True),
        (OPENAI + "OPENAI_API_KEY=k", {"OPENAI_API_KEY": "mine"}, False),
        (OPENAI + "OPENAI_API_KEY=k", {"GROQ_API_KEY": "mine", "PHOENIX_API_KEY": "mine"}, True),
        (OPENAI + "GROQ_API_KEY=k", {}, False),
        ("AZURE_API_BASE=http://x\nAZURE_API_KEY=k", {"AZURE_OPENAI_API_KEY": "mine"}, False),
        # LiteLLM may send one of several keys there, so none of the environment's may be about
        ("DEEPSEEK_API_BASE=http://x\nDEEPSEEK_API_KEY=k", {}, True),
        ("DEEPSEEK_API_BASE=http://x\nDEEPSEEK_API_KEY=k", {"PHOENIX_API_KEY": "mine"}, True),
        ("DEEPSEEK_API_BASE=http://x\nDEEPSEEK_API_KEY=k", {"OPENAI_API_KEY": "mine"}, False),
        ("GEMINI_API_BASE=http://x\nGEMINI_API_KEY=k", {"GOOGLE_API_KEY": "mine"}, False),
        ("AWS_REGION_NAME=x.example/", {"AWS_ACCESS_KEY_ID": "mine"}, False),
        (PROXY, {}, False),
        (PROXY + "OPENAI_API_KEY=k", {}, True),
        (PROXY + "OPENAI_API_KEY=k", {"ANTHROPIC_API_KEY": "mine"}, False),
        (PROXY + "PHOENIX_API_KEY=k", {"PHOENIX_CLIENT_HEADERS": "x=mine"}, False),
        ("http_proxy=http://x", {"OPENAI_API_KEY": "mine"}, False),
        (PHOENIX, {}, True),
        (PHOENIX, {"OPENAI_API_KEY": "mine"}, True),
        (PHOENIX + "PHOENIX_API_KEY=k", {}, True),
        (PHOENIX, {"PHOENIX_API_KEY": "mine"}, False),
        (PHOENIX, {"PHOENIX_CLIENT_HEADERS": "authorization=mine"}, False),
        ("KAIZEN_TRACING_ENDPOINT=http://x", {"PHOENIX_API_KEY": "mine"}, False),
        ("OTEL_EXPORTER_OTLP_ENDPOINT=http://x", {"PHOENIX_API_KEY": "mine"}, False),
        ("PHOENIX_HOST=x", {"PHOENIX_API_KEY": "mine"}, False),
        ("KAIZEN_PHOENIX_CA=./ca.pem", {"PHOENIX_URL": "https://mine"}, True),
        ("KAIZEN_PHOENIX_CA=./ca.pem", {"PHOENIX_API_KEY": "mine"}, False),
        ("KAIZEN_TIPS_MODEL=huggingface/https://x", {}, False),
        ("KAIZEN_EMBEDDER=litellm/huggingface/https://x", {}, False),
        ("KAIZEN_PG_DSN=postgresql://ann@x/y", {}, True),
        ("KAIZEN_PG_DSN=postgresql://ann@x/y", {"PGPASSWORD": "mine"}, False),
        ("KAIZEN_BACKEND=postgresql://ann@x/y", {"PGPASSWORD": "mine"}, False),
        ("KAIZEN_BACKEND=filesystem", {"PGPASSWORD": "mine"}, True),
    ],
)
def test_an_endpoint_counts_only_for_a_key_of_the_same_file(
    text: str, environ: dict[str, str], counts: bool
) -> None:
    name = text.partition("=")[0]
    assert (name in counted(text, **environ), name in ignored(text, **environ)) == (counts, not counts)


def test_what_is_ignored_is_said_once_with_the_reason_and_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(f"OPENAI_BASE_URL={ELSEWHERE}\nPHOENIX_URL={ELSEWHERE}\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    monkeypatch.setenv("PHOENIX_API_KEY", "px-mine")
    ended = kaizen("namespaces", "list")
    assert ended.exit_code == 0
    assert ended.stderr.count("OPENAI_BASE_URL (OPENAI_API_KEY is in the environment)") == 1
    assert ended.stderr.count("PHOENIX_URL (PHOENIX_API_KEY is in the environment)") == 1
    assert not any(value in ended.stderr for value in ("mine", ELSEWHERE))


@pytest.mark.skipif(not SLOW, reason="imports litellm twice; runs with KAIZEN_TEST_SLOW=true, as CI sets it")
def test_no_model_call_goes_to_the_endpoint_of_a_cloned_repository(
    model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file sends calls there once it brings its own key."""
    text = f"OPENAI_BASE_URL={model_server.base_url}\nKAIZEN_TIPS_MODEL=openai/gpt-4.1-mini\nHTTPS_PROXY=http://127.0.0.1:9\n"
    Path(".env").write_text(text)
    monkeypatch.delenv("HTTPS_PROXY")
    # the real endpoint, which nothing answers here
    monkeypatch.setenv("OPENAI_API_BASE", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    kaizen_process("doctor", "--url", "http://127.0.0.1:9", timeout_s=120)
    assert model_server.requests == []
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_API_BASE")
    Path(".env").write_text(text + "OPENAI_API_KEY=of-the-file\n")
    kaizen_process("doctor", "--url", "http://127.0.0.1:9", timeout_s=120)
    assert model_server.requests


# Files that cannot be read


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"KAIZEN_DATA_DIR=\xff\xfe\n", "is not UTF-8 text; fix or delete it"),
        (b"KAIZEN_DATA_DIR=x\n\nwhat is this?\n", "line 3, is not NAME=value; fix or delete it"),
        (b'KAIZEN_DATA_DIR="x\n', "line 1, is not NAME=value; fix or delete it"),
    ],
)
def test_a_file_that_does_not_parse_is_named_in_one_line_and_help_comes_regardless(
    content: bytes, says: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_bytes(content)
    error = kaizen("namespaces", "list").error
    assert str(tmp_path / ".env") in error
    assert says in error
    for arguments in (["--help"], ["-h"], ["--version"], [], ["sync", "phoenix", "--help"]):
        ended = kaizen(*arguments)
        assert "kaizen" in ended.stdout + ended.stderr
        assert str(tmp_path / ".env") not in ended.stderr


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to("/proc/self/mem")
    with pytest.raises(SettingsError, match=r"\.env cannot be read"):
        read_env_file(tmp_path / ".env", {})


def test_a_directory_of_that_name_is_no_file_of_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert kaizen("namespaces", "list").exit_code == 0


# Nobody else reads it


CODE = {
    "litellm": "from kaizen.sync.llm.calling import import_litellm; import_litellm()",
    "our settings": """
from kaizen.sync.settings import PhoenixSettings
settings = PhoenixSettings.from_environ(os.environ)
assert (settings.base_url, settings.headers) == ("http://localhost:6006", {})
""",
    "Phoenix's client": """
from kaizen.sync.settings import PhoenixSettings
from kaizen.sync.sources.phoenix.annotate import PhoenixAnnotator
client = PhoenixAnnotator(PhoenixSettings())._connected()._client
assert str(client.base_url) == "http://localhost:6006"
assert "authorization" not in client.headers
""",
}
# python-dotenv looks upward from the file that asks; here from the working directory.
FROM_HERE = """
import os, functools, dotenv.main
dotenv.main.find_dotenv = functools.partial(dotenv.main.find_dotenv, usecwd=True)
"""


@pytest.mark.parametrize("library", [name for name in CODE if SLOW or name != "litellm"])
def test_no_library_reads_a_file_of_its_own(library: str, tmp_path: Path) -> None:
    text = f"OPENAI_BASE_URL={ELSEWHERE}\nPHOENIX_ENDPOINT={ELSEWHERE}\nPHOENIX_API_KEY=k\n"
    for name in (".env", ".env.phoenix"):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    code = f"{FROM_HERE}{CODE[library]}\nassert {ELSEWHERE!r} not in os.environ.values()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
