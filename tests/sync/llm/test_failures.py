"""What a failed model call means: an outage, a prompt that is too long, a schema that is refused, a key."""

from __future__ import annotations

import json
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.demo.model_server import Fault, ModelServer, Scenarios
from kaizen.sync import (
    ModelAccessError,
    ModelError,
    ModelRefusalError,
    ModelSettings,
    ModelUnavailableError,
    PromptTooLongError,
)
from kaizen.sync.generate.generate import generate_tips
from kaizen.sync.llm.client import Model
from kaizen.sync.llm.schemas import TipsAnswer
from kaizen.sync.model import Message, Trajectory

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "openai/gpt-4.1-mini"
PROXIED = "hosted_vllm/some-model"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with ModelServer(scenarios=Scenarios()) as server:
        for provider in ("OPENAI_BASE_URL", "HOSTED_VLLM_API_BASE"):
            monkeypatch.setenv(provider, server.base_url)
        for provider in ("OPENAI_API_KEY", "HOSTED_VLLM_API_KEY"):
            monkeypatch.setenv(provider, "a-key-of-no-known-form")
        yield server


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each wait between two attempts would have been; none is waited for."""
    waited: list[float] = []
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=waited.append))
    return waited


def make(name: str = MODEL, *, stopping: threading.Event | None = None, **settings: Any) -> Model:
    given = {"timeout_s": 30, "attempts": 2, **settings}
    return Model(name, ModelSettings(**given), stopping=stopping)


def ask(model: Model) -> TipsAnswer:
    return model.ask(system="Study the run.", user="<run></run>", answer=TipsAnswer, name="kaizen_tips")


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault(kind="status", status=status) for status in (408, 409, 425, 429, 500, 502, 503, 504, 529)),
        Fault(kind="cut"),
        Fault(kind="malformed"),
        Fault(kind="status", status=200, body="<html>a proxy</html>"),
        Fault(kind="status", status=200, body={}),
        Fault(kind="status", status=200, body=error("Provider returned an error", code=502)),
        Fault(kind="status", status=429, body=error("Rate limit reached on tokens per min (TPM): Limit 9")),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-{str(fault.body)[:20]}",
)
def test_an_outage_says_nothing_about_a_trace(server: ModelServer, waits: list[float], fault: Fault) -> None:
    server.fail(fault, times=None)

    with pytest.raises(ModelUnavailableError, match=f"model '{MODEL}' failed: "):
        ask(make())
    assert (len(server.requests), len(waits)) == (2, 1)


@pytest.mark.parametrize("name", [MODEL, PROXIED])
def test_a_server_that_is_down_is_an_outage(
    waits: list[float], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for provider in ("OPENAI_BASE_URL", "HOSTED_VLLM_API_BASE"):
        monkeypatch.setenv(provider, "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "k")

    with pytest.raises(ModelUnavailableError):
        ask(make(name))
    assert len(waits) == 1


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "Something else is wrong.", ModelError),
        (401, "No.", ModelAccessError),
        (402, "Insufficient credits", ModelAccessError),
        (404, "No such model", ModelAccessError),
        (429, "You exceeded your current quota", ModelAccessError),
        (
            400,
            "The response was filtered by Azure OpenAI's content management policy.",
            ModelRefusalError,
        ),
        (403, "Your chosen model requires moderation and your input was flagged", ModelRefusalError),
    ],
)
def test_what_is_no_outage_is_not_tried_again(
    server: ModelServer, waits: list[float], status: int, message: str, kind: type[ModelError]
) -> None:
    server.fail(Fault(kind="status", status=status, body=error(message)), times=None)

    with pytest.raises(ModelError) as caught:
        ask(make())
    assert type(caught.value) is kind
    assert (len(server.requests), waits) == (1, [])


# -- time limits and stopping ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["drip", "hang"])
def test_the_time_limit_holds_for_a_whole_call(server: ModelServer, waits: list[float], kind: Any) -> None:
    ask(make())  # what is imported at the first call takes its time
    server.fail(Fault(kind=kind, delay_s=0.2), times=None)

    started = time.monotonic()
    with pytest.raises(ModelUnavailableError, match="no whole answer within 1 s"):
        ask(make(timeout_s=1, attempts=4))
    assert 2 <= time.monotonic() - started < 20
    assert len(server.requests) == 3, "two attempts that take all their time are enough"


def test_after_a_stop_nothing_is_tried_again(server: ModelServer) -> None:
    stopping = threading.Event()
    server.fail(Fault(kind="status", status=429, headers={"Retry-After": "60"}), times=None)
    threading.Timer(0.5, stopping.set).start()

    started = time.monotonic()
    with pytest.raises(ModelUnavailableError):
        ask(make(stopping=stopping, attempts=5))
    assert time.monotonic() - started < 30
    assert len(server.requests) <= 2


def test_after_a_stop_an_unusable_answer_is_not_asked_for_again(server: ModelServer) -> None:
    stopping = threading.Event()
    stopping.set()
    server.fail(Fault(kind="nonsense"), times=None)

    with pytest.raises(ModelUnavailableError, match="the sync was stopped"):
        ask(make(stopping=stopping))
    assert len(server.requests) == 1


# -- the schema ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."),
        (400, "'response_format.type' must be 'text'"),
        (400, "This response_format type is unavailable now"),
        (400, "This model does not support response format `json_schema`."),
        (400, "response_format value as json_schema is enabled only for api versions 2024-08-01-preview"),
        (400, "Unrecognized request argument supplied: response_format"),
        (400, "JSON mode is not enabled for this model"),
        (400, "guided_json is not supported by this engine"),
        (404, "No endpoints found that support the requested parameters"),
        (422, "body.response_format: extra fields not permitted"),
    ],
)
def test_a_provider_that_refuses_the_schema_gets_it_in_words(
    server: ModelServer, waits: list[float], status: int, message: str
) -> None:
    refusing = Fault(kind="status", status=status, body=error(message), contains='"response_format"')
    server.fail(refusing, times=None)
    model = make()

    assert ask(model).tips == []
    assert ask(model).tips == []
    assert ["response_format" in request.body for request in server.requests] == [True, False, False]
    assert '"implementation_steps"' in server.requests[-1].body["messages"][0]["content"]
    assert waits == []


# -- the length ------------------------------------------------------------------------------------------

TOO_LONG = [
    (400, error("This endpoint's maximum context length is 8192 tokens. However, you requested about 9001.")),
    (200, error("This endpoint's maximum context length is 8192 tokens. You requested 9001", code=400)),
    (400, error("You passed 9001 input tokens and requested 9 output tokens. However, the model's context "
                "length is only 8192 tokens")),
    (400, {"error": "The number of tokens to keep is greater than the context length. The model is loaded "
                    "with context length of only 4096 tokens"}),
    (400, error("the request exceeds the available context size", type="exceed_context_size_error")),
    (400, error("prompt is too long: 9001 tokens > 8192 maximum")),
    (400, error("Input is too long for requested model.")),
    (400, error("The input token count (9001) exceeds the maximum number of tokens allowed (8192).")),
    (400, error("Please reduce the length of the messages or completion.", code="context_length_exceeded")),
    (400, {"detail": "Requested tokens (9001) exceed context window of 8192"}),
    (413, error("Payload Too Large")),
    (413, "Request Entity Too Large"),
    (429, error("Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 90010.")),
]  # fmt: skip


@pytest.mark.parametrize("name", [MODEL, PROXIED])
@pytest.mark.parametrize(("status", "body"), TOO_LONG, ids=lambda value: str(value)[:60])
def test_a_prompt_that_is_too_long_is_halved_until_it_fits(
    server: ModelServer, waits: list[float], name: str, status: int, body: Any
) -> None:
    server.fail(Fault(kind="status", status=status, body=body, min_chars=60_000), times=None)
    run = Trajectory(
        trace_id="t", messages=tuple(Message(role="tool", content="word " * 200) for _ in range(150))
    )

    assert generate_tips(run, make(name)).tips == ()
    sizes = [len(json.dumps(request.body)) for request in server.requests]
    assert len(sizes) == 3
    assert sizes[0] > 100_000
    assert sizes[-1] < 60_000
    assert waits == []


@pytest.mark.parametrize("name", [MODEL, PROXIED])
def test_a_prompt_that_is_always_too_long_names_the_setting(
    server: ModelServer, waits: list[float], name: str
) -> None:
    server.fail(Fault(kind="status", status=413), times=None)

    with pytest.raises(PromptTooLongError, match="KAIZEN_TIPS_MAX_INPUT_TOKENS"):
        ask(make(name))


def test_a_length_in_words_that_nobody_knows_names_the_setting(server: ModelServer) -> None:
    server.fail(Fault(kind="status", status=400, body=error("9001 tokens do not go in here")), times=None)

    with pytest.raises(ModelError, match=r"9001 tokens .* set KAIZEN_TIPS_MAX_INPUT_TOKENS"):
        ask(make())


@pytest.mark.parametrize(
    "body", [{"error": "no room at the inn"}, {"detail": "no room at the inn"}, error("no room at the inn")]
)
def test_what_a_provider_says_is_told_however_it_says_it(server: ModelServer, body: Any) -> None:
    server.fail(Fault(kind="status", status=400, body=body), times=None)

    with pytest.raises(ModelError, match="no room at the inn"):
        ask(make())
