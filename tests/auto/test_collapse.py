"""Layers that trace the same call become one LLM span."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from openinference.instrumentation import TracerProvider
from opentelemetry import context, trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from kaizen.auto.pipeline import collapse as module
from kaizen.auto.pipeline.collapse import CollapseProcessor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan

KIND = "openinference.span.kind"


class Layers:
    """Spans of several instrumentors, and what comes out."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.memory = InMemorySpanExporter()
        self.processor = CollapseProcessor(SimpleSpanProcessor(self.memory), enabled=enabled)
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(self.processor)

    def start(self, scope: str, kind: str | None = "LLM", **attributes: Any) -> trace.Span:
        given = {name.replace("__", "."): value for name, value in attributes.items()}
        if kind is not None:
            given[KIND] = kind
        tracer = self.provider.get_tracer(scope if "." in scope else f"openinference.instrumentation.{scope}")
        return tracer.start_span(f"{scope} {kind}", attributes=given)

    @contextmanager
    def span(self, scope: str, kind: str | None = "LLM", **attributes: Any) -> Iterator[trace.Span]:
        with trace.use_span(self.start(scope, kind, **attributes), end_on_exit=True) as span:
            yield span

    @property
    def out(self) -> list[ReadableSpan]:
        return list(self.memory.get_finished_spans())

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.out]


@pytest.fixture
def layers() -> Layers:
    return Layers()


def test_three_layers_become_the_outermost(layers: Layers) -> None:
    with layers.span("smolagents"), layers.span("litellm"), layers.span("openai"):
        pass
    assert layers.names == ["smolagents LLM"]


def test_switched_off_every_layer_is_kept() -> None:
    layers = Layers(enabled=False)
    with layers.span("smolagents"), layers.span("openai"):
        pass
    assert layers.names == ["openai LLM", "smolagents LLM"]


def test_the_survivor_learns_what_only_the_inner_layer_knew(layers: Layers) -> None:
    with (
        layers.span("smolagents", llm__model_name="outer", llm__token_count__prompt=3),
        layers.span("litellm", llm__token_count__total=9, llm__cost__total=0.5),
        layers.span("openai", llm__model_name="inner", llm__provider="openai", llm__token_count__prompt=3),
    ):
        pass
    (span,) = layers.out
    attributes = dict(span.attributes or {})
    assert attributes["llm.model_name"] == "outer"
    assert attributes["llm.provider"] == "openai"
    assert attributes["llm.cost.total"] == 0.5
    assert attributes["llm.token_count.prompt"] == 3
    assert attributes["llm.token_count.total"] == 9


def test_calls_that_were_repeated_inside_are_added_up_where_the_survivor_knows_no_tokens(
    layers: Layers,
) -> None:
    with layers.span("litellm"):
        with layers.span("openai", llm__token_count__total=5, llm__output_messages__0="first"):
            pass
        with layers.span("openai", llm__token_count__total=7, llm__output_messages__0="second"):
            pass
    (span,) = layers.out
    attributes = dict(span.attributes or {})
    assert attributes["llm.token_count.total"] == 12
    assert attributes["llm.output_messages.0"] == "second"


def test_a_kind_that_is_set_late_counts(layers: Layers) -> None:
    with layers.span("litellm", None) as late, layers.span("openai"):
        late.set_attribute(KIND, "LLM")
    assert layers.names == ["litellm None"]


def test_a_parent_that_ends_first_still_has_its_repeat_dropped(layers: Layers) -> None:
    outer = layers.start("litellm")
    with trace.use_span(outer):
        inner = layers.start("openai")
    outer.end()
    inner.end()
    assert layers.names == ["litellm LLM"]


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (("smolagents", "AGENT"), ("openai", "LLM")),
        (("openai_agents", "CHAIN"), ("openai", "LLM")),
        (("litellm", "EMBEDDING"), ("openai", "LLM")),
        (("openai", "LLM"), ("openai", "LLM")),
        (("my.own", "LLM"), ("openai", "LLM")),
        (("openai", "LLM"), ("my.own", "LLM")),
        (("openai", "LLM"), ("smolagents", "TOOL")),
    ],
)
def test_what_repeats_nothing_is_kept(outer: tuple[str, str], inner: tuple[str, str], layers: Layers) -> None:
    with layers.span(*outer), layers.span(*inner):
        pass
    assert sorted(layers.names) == sorted(" ".join(pair) for pair in (outer, inner))


def test_embeddings_are_collapsed_like_calls(layers: Layers) -> None:
    with layers.span("litellm", "EMBEDDING"), layers.span("openai", "EMBEDDING"):
        pass
    assert layers.names == ["litellm EMBEDDING"]


def test_what_was_below_a_dropped_span_moves_to_the_survivor(layers: Layers) -> None:
    with layers.span("smolagents") as outer, layers.span("openai"), layers.span("http.client", None):
        pass
    below = next(span for span in layers.out if span.name == "http.client None")
    assert below.parent is not None
    assert below.parent.span_id == outer.get_span_context().span_id
    assert sorted(layers.names) == ["http.client None", "smolagents LLM"]


def test_calls_at_the_same_time_do_not_mix(layers: Layers) -> None:
    first, second = layers.start("litellm"), layers.start("litellm")
    with trace.use_span(first):
        one = layers.start("openai")
    with trace.use_span(second, end_on_exit=False):
        two = layers.start("openai")
    for span in (two, first, one, second):
        span.end()
    assert layers.names == ["litellm LLM", "litellm LLM"]


def test_spans_that_never_end_do_not_pile_up(layers: Layers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OPEN", 10)
    outer = layers.start("litellm")
    with trace.use_span(outer), layers.span("openai"):
        pass
    assert layers.names == []
    for _ in range(20):
        layers.start("openai")
    assert layers.names == ["openai LLM"]
    assert len(layers.processor._open) <= 10


def test_what_is_held_goes_out_at_the_end(layers: Layers) -> None:
    with trace.use_span(layers.start("litellm")), layers.span("openai"):
        pass
    layers.processor.release()
    assert layers.names == ["openai LLM"]
    assert context.get_current() == {}


def fail(span: trace.Span, name: str = "Boom") -> None:
    span.add_event("exception", {"exception.type": name})
    span.set_status(trace.Status(trace.StatusCode.ERROR, f"{name}: it broke"))


@pytest.mark.parametrize("status", [trace.StatusCode.UNSET, trace.StatusCode.OK])
def test_a_survivor_that_knows_no_answer_takes_over_how_the_call_below_failed(
    status: trace.StatusCode, layers: Layers
) -> None:
    with layers.span("openai_agents") as outer, layers.span("openai") as inner:
        fail(inner)
        outer.set_status(trace.Status(status))
    (span,) = layers.out
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.status.description == "Boom: it broke"
    assert [dict(event.attributes or {}) for event in span.events] == [{"exception.type": "Boom"}]


def test_a_survivor_whose_retry_succeeded_stays_as_it_is(layers: Layers) -> None:
    with layers.span("litellm") as outer:
        with layers.span("openai") as first:
            fail(first)
        with layers.span("openai", output__value="the answer"):
            pass
    with layers.span("litellm", output__value="the answer") as outer:
        with layers.span("openai") as first:
            fail(first)
        outer.set_status(trace.Status(trace.StatusCode.OK))
    assert [span.status.status_code for span in layers.out] == [trace.StatusCode.UNSET, trace.StatusCode.OK]
    assert [span.events for span in layers.out] == [(), ()]


def test_a_survivor_keeps_an_error_of_its_own(layers: Layers) -> None:
    with layers.span("litellm") as outer, layers.span("openai") as inner:
        fail(inner, "Inner")
        fail(outer, "Outer")
    (span,) = layers.out
    assert span.status.description == "Outer: it broke"
    assert len(span.events) == 1


@pytest.mark.parametrize("enabled", [True, False])
def test_open_spans_are_handed_on_as_they_are_once(enabled: bool) -> None:
    layers = Layers(enabled=enabled)
    outer = layers.start("smolagents", "AGENT", input__value="task")
    with trace.use_span(outer):
        inner = layers.start("openai", output__value="half")
    assert layers.processor.open_count == 2
    assert layers.processor.end_open() == 2
    assert layers.processor.open_count == 0
    assert layers.names == ["openai LLM", "smolagents AGENT"]
    assert all((span.attributes or {})["kaizen.unfinished"] for span in layers.out)
    assert all(span.end_time for span in layers.out)
    # The agent's threads may still use them.
    assert inner.is_recording()
    assert layers.processor.end_open() == 0


def test_layers_that_are_open_at_the_end_are_collapsed_too(layers: Layers) -> None:
    with trace.use_span(layers.start("litellm")):
        layers.start("openai", output__value="half")
    layers.processor.end_open()
    assert layers.names == ["litellm LLM"]
