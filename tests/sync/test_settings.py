"""Options, then the environment, then defaults; and what is not acceptable, in one line of our own."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from kaizen.sync import ModelSettings, OutcomeSettings, PhoenixSettings, SettingsError, SyncSettings

if TYPE_CHECKING:
    from collections.abc import Callable


def phoenix(environ: dict[str, str] | None = None, **options: str) -> PhoenixSettings:
    return PhoenixSettings.from_environ(environ or {}, **options)


URLS = (
    ("PHOENIX_URL", "http://one:1"),
    ("KAIZEN_TRACING_ENDPOINT", "http://seven:7/v1/traces"),
    ("PHOENIX_ENDPOINT", "http://two:2"),
    ("PHOENIX_COLLECTOR_ENDPOINT", "http://three:3"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://four:4"),
    ("PHOENIX_BASE_URL", "http://five:5"),
    ("PHOENIX_HOST", "six"),
)
EXPECTED = (
    "http://one:1",
    "http://seven:7",
    "http://two:2",
    "http://three:3",
    "http://four:4",
    "http://five:5",
    "http://six:6006",
    "http://localhost:6006",
)


@pytest.mark.parametrize("set_from", range(len(URLS) + 1))
def test_the_first_variable_that_names_a_server_counts(set_from: int) -> None:
    assert phoenix(dict(URLS[set_from:])).base_url == EXPECTED[set_from]


def test_an_option_goes_before_every_variable() -> None:
    settings = phoenix(
        {**dict(URLS), "KAIZEN_TRACING_PROJECT": "other"}, url="https://option", project="mine"
    )

    assert (settings.base_url, settings.project) == ("https://option", "mine")


def test_empty_variables_are_not_set() -> None:
    settings = phoenix({name: "" for name, _ in URLS} | {"KAIZEN_TRACING_PROJECT": "", "PHOENIX_API_KEY": ""})

    assert settings == PhoenixSettings()


@pytest.mark.parametrize(
    ("environ", "project"),
    [
        ({"KAIZEN_TRACING_PROJECT": "a", "PHOENIX_PROJECT_NAME": "b"}, "a"),
        ({"PHOENIX_PROJECT": "c", "PHOENIX_PROJECT_NAME": "b"}, "c"),
        ({"PHOENIX_PROJECT_NAME": "b"}, "b"),
        ({}, "kaizen-agent"),
    ],
)
def test_the_project_is_the_one_that_tracing_names(environ: dict[str, str], project: str) -> None:
    assert phoenix(environ).project == project


@pytest.mark.parametrize(
    ("given", "base_url"),
    [
        ("http://localhost:6006/", "http://localhost:6006"),
        ("http://localhost:6006/v1/traces", "http://localhost:6006"),
        ("http://localhost:6006/v1/traces/", "http://localhost:6006"),
        (" https://host/phoenix/ ", "https://host/phoenix"),
        ("https://host/phoenix/v1/traces", "https://host/phoenix"),
        ("http://[::1]:6006", "http://[::1]:6006"),
        ("HTTP://Host", "HTTP://Host"),
    ],
)
def test_a_collector_endpoint_and_a_base_url_mean_the_same_server(given: str, base_url: str) -> None:
    assert phoenix(url=given).base_url == base_url


@pytest.mark.parametrize(
    ("host", "port", "base_url"),
    [
        ("0.0.0.0", "7000", "http://localhost:7000"),
        ("::", "7000", "http://localhost:7000"),
        ("::1", "7000", "http://[::1]:7000"),
        ("phoenix.internal", "", "http://phoenix.internal:6006"),
    ],
)
def test_a_host_to_listen_on_becomes_one_to_connect_to(host: str, port: str, base_url: str) -> None:
    assert phoenix({"PHOENIX_HOST": host, "PHOENIX_PORT": port}).base_url == base_url


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6006",
        "ftp://host",
        "http://",
        "http://:6006",
        "http://host:99999",
        "http://host:port",
        "http://host:0",
        "http://[::1",
        "http://ho st",
        "http://ho\nst",
        "http://host/\x00",
        "http://xn--\x00a",
        "http://host?project=x",
        "http://host#x",
        "phoenix",
    ],
)
def test_what_is_no_url_is_refused_with_its_value_and_what_to_write(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        phoenix(url=url)

    assert f"'{url}'" in str(caught.value)
    assert "http://localhost:6006" in str(caught.value)
    assert "--url" in str(caught.value)


def test_kubernetes_own_phoenix_port_is_refused_and_named() -> None:
    with pytest.raises(SettingsError, match=r"tcp://10\.0\.0\.1:6006"):
        phoenix({"PHOENIX_HOST": "phoenix", "PHOENIX_PORT": "tcp://10.0.0.1:6006"})


def test_user_and_password_of_a_url_become_a_header_and_are_never_shown() -> None:
    settings = phoenix(url="https://ann:p%40ss@host:8443/base")

    assert settings.base_url == "https://host:8443/base"
    assert settings.headers == {"authorization": f"Basic {b64encode(b'ann:p@ss').decode()}"}
    with pytest.raises(SettingsError) as caught:
        phoenix(url="https://ann:hidden@host:99999")
    assert "hidden" not in str(caught.value)


def test_headers_are_read_url_encoded_as_phoenix_reads_them() -> None:
    headers = phoenix(
        {"PHOENIX_CLIENT_HEADERS": "X-One=a, x-two = b%20c%2Cd ,,x-three=YT09Cg==,Authorization=Bearer%20k"}
    ).headers

    assert headers == {
        "x-one": "a",
        "x-two": "b c,d",
        "x-three": "YT09Cg==",
        "authorization": "Bearer k",
    }


def test_the_api_key_is_a_bearer_token_and_goes_before_the_headers() -> None:
    environ = {"PHOENIX_API_KEY": " key-1\n", "PHOENIX_CLIENT_HEADERS": "authorization=Basic%20x"}

    assert phoenix(environ).headers == {"authorization": "Bearer key-1"}


@pytest.mark.parametrize(
    "headers", ["no-separator-at-all", "=value", "bad name=value", "naïve=value", "x%0Ay=1"]
)
def test_headers_that_cannot_be_are_refused(headers: str) -> None:
    with pytest.raises(SettingsError, match=r"PHOENIX_CLIENT_HEADERS holds .* write it like name=value"):
        phoenix({"PHOENIX_CLIENT_HEADERS": headers})


@pytest.mark.parametrize(
    "environ",
    [
        {"PHOENIX_API_KEY": "ключ-secret"},
        {"PHOENIX_API_KEY": "two\nlines-secret"},
        {"PHOENIX_CLIENT_HEADERS": "x-key=two%0D%0Alines-secret"},
    ],
)
def test_values_that_no_header_can_carry_are_refused_without_being_shown(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        phoenix(environ)

    assert next(iter(environ)) in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_credential_without_a_name_is_not_shown_whole() -> None:
    with pytest.raises(SettingsError) as caught:
        phoenix({"PHOENIX_CLIENT_HEADERS": "abcdefghijklmnop"})

    assert "abcdefgh" not in str(caught.value)


TIMEOUTS = ("KAIZEN_PHOENIX_TIMEOUT", "KAIZEN_MODEL_TIMEOUT")


def test_timeouts_are_seconds() -> None:
    assert phoenix({"KAIZEN_PHOENIX_TIMEOUT": "2.5"}).timeout_s == 2.5
    assert ModelSettings.from_environ({"KAIZEN_MODEL_TIMEOUT": "7"}).timeout_s == 7
    assert (phoenix().timeout_s, ModelSettings.from_environ({}).timeout_s) == (30, 120)


@pytest.mark.parametrize("variable", TIMEOUTS)
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e999", "ten", "1 s"])
def test_a_timeout_that_is_none_is_refused_with_its_value(variable: str, value: str) -> None:
    environ = {variable: value}
    with pytest.raises(SettingsError, match=rf"{variable} is '{value}'; write a number of seconds"):
        phoenix(environ) if variable == TIMEOUTS[0] else ModelSettings.from_environ(environ)


@pytest.mark.parametrize(
    ("environ", "tips", "reconcile"),
    [
        ({}, "gpt-4.1-mini", "gpt-4.1-mini"),
        ({"KAIZEN_MODEL_NAME": "m"}, "m", "m"),
        ({"KAIZEN_TIPS_MODEL": "t"}, "t", "t"),
        ({"KAIZEN_TIPS_MODEL": "t", "KAIZEN_MODEL_NAME": "m"}, "t", "m"),
        ({"KAIZEN_CONFLICT_RESOLUTION_MODEL": "c"}, "gpt-4.1-mini", "c"),
        ({"KAIZEN_CONFLICT_RESOLUTION_MODEL": "c", "KAIZEN_MODEL_NAME": "m"}, "m", "c"),
        (
            {"KAIZEN_TIPS_MODEL": "t", "KAIZEN_CONFLICT_RESOLUTION_MODEL": "c", "KAIZEN_MODEL_NAME": "m"},
            "t",
            "c",
        ),
        ({"KAIZEN_TIPS_MODEL": "", "KAIZEN_MODEL_NAME": ""}, "gpt-4.1-mini", "gpt-4.1-mini"),
        ({"KAIZEN_TIPS_MODEL": "offline"}, "offline", "offline"),
        ({"KAIZEN_TIPS_MODEL": "offline", "KAIZEN_MODEL_NAME": "m"}, "offline", "offline"),
        (
            {"KAIZEN_TIPS_MODEL": "offline", "KAIZEN_CONFLICT_RESOLUTION_MODEL": "c"},
            "offline",
            "c",
        ),
    ],
)
def test_the_models_are_those_the_variables_name(environ: dict[str, str], tips: str, reconcile: str) -> None:
    settings = ModelSettings.from_environ(environ)

    assert (settings.tips_model, settings.reconcile_model) == (tips, reconcile)


def test_a_model_given_as_an_option_writes_the_tips() -> None:
    settings = ModelSettings.from_environ({"KAIZEN_TIPS_MODEL": "t"}, model="o")

    assert (settings.tips_model, settings.reconcile_model) == ("o", "o")


def test_the_provider_may_be_named_apart() -> None:
    assert ModelSettings.from_environ({"KAIZEN_CUSTOM_LLM_PROVIDER": "azure"}).custom_llm_provider == "azure"
    assert ModelSettings.from_environ({"KAIZEN_CUSTOM_LLM_PROVIDER": ""}).custom_llm_provider is None


@pytest.mark.parametrize(("option", "value"), [("limit", 0), ("limit", -3), ("concurrency", 0)])
def test_counts_below_one_are_refused_with_their_value(option: str, value: int) -> None:
    with pytest.raises(SettingsError, match=f"--{option} is {value}"):
        SyncSettings(**{option: value})


def test_a_sync_takes_every_trace_and_no_failed_one_unless_told() -> None:
    settings = SyncSettings()

    assert (settings.namespace_id, settings.limit, settings.include_errors) == ("kaizen", None, False)


@pytest.mark.parametrize(
    ("environ", "tokens", "enabled"),
    [
        ({}, None, False),
        ({"KAIZEN_TIPS_MAX_INPUT_TOKENS": " 20000 ", "KAIZEN_SEGMENTATION_ENABLED": "True"}, 20_000, True),
        ({"KAIZEN_TIPS_MAX_INPUT_TOKENS": "", "KAIZEN_SEGMENTATION_ENABLED": "off"}, None, False),
        ({"KAIZEN_SEGMENTATION_ENABLED": ""}, None, False),
        ({"KAIZEN_SEGMENTATION_ENABLED": "1"}, None, True),
    ],
)
def test_how_tips_are_asked_for(environ: dict[str, str], tokens: int | None, enabled: bool) -> None:
    models = ModelSettings.from_environ(environ)

    assert (models.max_input_tokens, models.segmentation_enabled) == (tokens, enabled)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KAIZEN_TIPS_MAX_INPUT_TOKENS", "3999"),
        ("KAIZEN_TIPS_MAX_INPUT_TOKENS", "-5"),
        ("KAIZEN_TIPS_MAX_INPUT_TOKENS", "30k"),
        ("KAIZEN_SEGMENTATION_ENABLED", "maybe"),
    ],
)
def test_a_setting_of_tips_that_is_none_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable} is '{value}'"):
        ModelSettings.from_environ({variable: value})


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: PhoenixSettings(timeout_s="soon"), "timeout_s is 'soon'; write a number of seconds"),
        (lambda: PhoenixSettings(project=3), "project is '3'; input should be a valid string; write it like"),
        (lambda: ModelSettings(attempts="many"), "attempts is 'many'; input should be a valid integer"),
        (lambda: SyncSettings(redaction="emails"), "redaction is 'emails'; input should be an instance"),
        (lambda: SyncSettings(limits=3), "SyncSettings has no setting 'limits'; it has namespace_id, "),
    ],
)
def test_a_field_of_the_wrong_type_is_named_in_one_line(build: Callable[[], object], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        build()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_variable_that_set_a_field_is_the_one_that_is_named() -> None:
    environ = {"KAIZEN_OUTCOME_SUCCESS_SCORE": "high", "KAIZEN_OUTCOME_NAMES": "x"}
    with pytest.raises(
        SettingsError, match=r"^KAIZEN_OUTCOME_SUCCESS_SCORE is 'high'; write a number such as"
    ):
        OutcomeSettings.from_environ(environ)


def test_building_from_fields_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (name for names in PhoenixSettings.variables().values() for name in names):
        monkeypatch.setenv(variable, "http://elsewhere")
    assert PhoenixSettings(project="p").base_url == "http://localhost:6006"


def test_a_variable_in_another_case_is_another_variable() -> None:
    assert phoenix({"phoenix_url": "http://x", "base_url": "http://x", "project": "x"}) == PhoenixSettings()


def test_no_credential_is_in_the_repr() -> None:
    settings = phoenix(
        {
            "PHOENIX_API_KEY": "secret-1",
            "PHOENIX_CLIENT_HEADERS": "x=secret-2",
            "PHOENIX_URL": "http://a:secret-3@b",
        }
    )
    assert "secret" not in repr(settings)
    assert "secret-1" in settings.headers["authorization"]


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        PhoenixSettings().project = "other"  # type: ignore[misc]
