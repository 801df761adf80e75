"""MLflow and Langfuse: what is read again and what is not, what judges a run, and who may not read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kaizen.sync import ProjectNotFoundError, SettingsError, SourceError
from kaizen.sync.sources.langfuse import source as langfuse_source
from kaizen.sync.sources.langfuse.settings import LangfuseSettings
from kaizen.sync.sources.langfuse.source import LangfuseSource
from kaizen.sync.sources.listing import ListingSource
from kaizen.sync.sources.mlflow import source as mlflow_source
from kaizen.sync.sources.mlflow.settings import MlflowSettings
from kaizen.sync.sources.mlflow.source import MlflowSource
from kaizen.sync.testing.sources import new_trace
from kaizen.sync.trajectory.build import build_trajectory
from tests.support.ill_phoenix import Answer, IllPhoenix
from tests.support.played import PlayedLangfuse, PlayedMlflow, PlayedServer

if TYPE_CHECKING:
    from pathlib import Path

    from kaizen.sync.model import Span, Trace

Opener = Callable[["Path"], AbstractContextManager[tuple[PlayedServer, ListingSource]]]


def mlflow(url: str, folder: Path, **settings: Any) -> MlflowSource:
    return MlflowSource(MlflowSettings(base_url=url, project="p", cache_dir=str(folder), **settings))


def langfuse(url: str, folder: Path) -> LangfuseSource:
    keys = {"public_key": "pk-lf-1", "secret_key": "sk-lf-1"}
    return LangfuseSource(LangfuseSettings(base_url=url, cache_dir=str(folder), **keys))


@contextmanager
def open_mlflow(folder: Path) -> Iterator[tuple[PlayedMlflow, MlflowSource]]:
    with PlayedMlflow() as server, mlflow(server.url, folder) as source:
        yield server, source


@contextmanager
def open_langfuse(folder: Path) -> Iterator[tuple[PlayedLangfuse, LangfuseSource]]:
    with PlayedLangfuse() as server, langfuse(server.url, folder) as source:
        yield server, source


both = pytest.mark.parametrize("opener", [open_mlflow, open_langfuse])


def late(spans: Sequence[Span]) -> Span:
    """A span that arrives late, and lies within the time of its trace."""
    return replace(spans[-1], span_id="f" * 16, name="late")


def read_all(source: ListingSource) -> list[Trace]:
    return list(source.fetch(source.index()))


@both
def test_of_a_project_that_was_read_only_what_is_new_is_read(opener: Opener, tmp_path: Path) -> None:
    traces = [new_trace(hour=hour) for hour in range(0, 60, 2)]
    with opener(tmp_path) as (server, source):
        server.put(span for spans in traces for span in spans)
        read_all(source)
        before = source.probe()
        assert before is not None
        new = [new_trace(hour=57, spans=3), new_trace(hour=60)]
        server.put(span for spans in new for span in spans)
        requests = source.requests

        changed = source.changed_since(before)

        assert changed == dict.fromkeys(spans[0].trace_id for spans in new)
        assert source.requests - requests <= 6


@both
def test_a_whole_listing_reads_again_only_the_trace_that_grew_and_drops_what_is_gone(
    opener: Opener, tmp_path: Path
) -> None:
    traces = [new_trace(hour=hour) for hour in range(30)]
    with opener(tmp_path) as (server, source):
        server.put(span for spans in traces for span in spans)
        read_all(source)
        before = source.probe()
        assert before is not None

        server.put([late(traces[3])])
        server.remove([traces[20][0].trace_id])
        requests = source.requests

        assert source.changed_since(before) is None
        listed = list(source.index())
        assert [trace.trace_id for trace in listed if not trace.spans] == [traces[3][0].trace_id]
        assert source.requests - requests <= 20
        assert len(listed) == 29
        assert len(read_all(source)[3].spans) == 3
        assert all(trace.spans for trace in source.index())
        assert source._seen.count_spans() == 29 * 2 + 1


@both
def test_another_machine_reads_all_again_and_finds_the_same(opener: Opener, tmp_path: Path) -> None:
    with opener(tmp_path / "one") as (server, source):
        server.put(span for hour in range(3) for span in new_trace(hour=hour))
        before, found = source.probe(), read_all(source)
        assert before is not None
        server.put(new_trace(hour=4))
        with type(source)(source.settings_type(**_with_cache(source, tmp_path / "two"))) as other:  # type: ignore[attr-defined, call-arg]
            assert other.changed_since(before) is None
            assert all(not trace.spans for trace in other.index())
            assert read_all(other)[:3] == found


def _with_cache(source: ListingSource, folder: Path) -> dict[str, Any]:
    given: dict[str, Any] = {"base_url": source.url, "cache_dir": str(folder)}
    return given | ({"project": "p"} if source.project == "p" else {"public_key": "pk-lf-1"})


@both
def test_an_index_that_cannot_be_written_says_where_it_is(opener: Opener, tmp_path: Path) -> None:
    (tmp_path / "sources").write_text("not a directory")
    with opener(tmp_path) as (server, source):
        server.put(new_trace())
        with pytest.raises(SourceError, match=r"the index .* cannot be used .*KAIZEN_CACHE_DIR"):
            list(source.index())


@both
def test_who_may_not_read_is_told_which_variables_to_set(opener: Opener, tmp_path: Path) -> None:
    with opener(tmp_path) as (server, source):
        server.authorization = "another"
        with pytest.raises(
            SourceError, match=r"answered 401 .*: set (MLFLOW_TRACKING_TOKEN|LANGFUSE_PUBLIC_KEY)"
        ):
            source.probe()


@pytest.mark.parametrize("build", [mlflow, langfuse])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(status=500, body="sk-" + "a1B2" * 12, content_type="text/plain"), "answered 500"),
        (Answer(body="<html>", content_type="text/html"), "check that --url names"),
        (Answer(body={"experiments": "?", "data": 1}), "expected"),
        (
            Answer(
                body={
                    "experiments": [{"name": "p", "experiment_id": "1"}],
                    "data_points": [],
                    "traces": [{}],
                    "data": [{}],
                    "meta": {"totalItems": 1},
                }
            ),
            "record that Kaizen does not understand",
        ),
    ],
)
def test_a_server_that_answers_oddly_is_an_error_that_says_so_and_no_secret(
    build: Any, answer: Answer, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kaizen.sync.sources.http._wait", lambda _: 0.0)
    with IllPhoenix(answer) as server, build(server.url, tmp_path) as source:
        with pytest.raises(SourceError, match=said) as raised:
            source.probe()
        assert "a1B2" not in str(raised.value)
        assert "sk-lf-1" not in str(raised.value)


def test_traces_that_start_together_fill_pages_and_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, opener in ((mlflow_source, open_mlflow), (langfuse_source, open_langfuse)):
        monkeypatch.setattr(module, "_PAGE", 4)
        with opener(tmp_path) as (server, source):  # type: ignore[operator]
            server.put(span for number in range(11) for span in new_trace(hour=number // 9))
            listed = [trace.trace_id for trace in source.index()]
            assert sorted(listed) == sorted(server.spans)


def test_mlflow_sends_the_token_or_the_user_and_never_shows_them(tmp_path: Path) -> None:
    for given, sent in (
        ({"token": "secret-token"}, "Bearer secret-token"),
        ({"username": "ann", "password": "secret"}, "Basic YW5uOnNlY3JldA=="),
    ):
        with PlayedMlflow() as server, mlflow(server.url, tmp_path, **given) as source:
            server.authorization = sent
            assert source.probe() is None
    with PlayedMlflow() as server, mlflow(server.url.replace("//", "//ann:secret@"), tmp_path) as source:
        server.authorization = "Basic YW5uOnNlY3JldA=="
        assert source.probe() is None
        assert "secret" not in source.url


def test_mlflow_without_the_experiment_says_which_there_are(tmp_path: Path) -> None:
    with PlayedMlflow() as server:
        settings = MlflowSettings(base_url=server.url, project="nowhere", cache_dir=str(tmp_path))
        with MlflowSource(settings) as source:
            assert source.projects() == ["p", "Default"]
            with pytest.raises(ProjectNotFoundError, match="it has: 'Default', 'p'"):
                source.probe()


def assessment(name: str, value: Any, source: str, **more: Any) -> dict[str, Any]:
    return {
        "assessment_name": name,
        "source": {"source_type": source, "source_id": "x"},
        "feedback": {"value": value},
        "valid": True,
        **more,
    }


def test_mlflow_assessments_of_a_trace_are_annotations_and_expectations_are_not(tmp_path: Path) -> None:
    spans = new_trace()
    with open_mlflow(tmp_path) as (server, source):
        server.put([*spans, *new_trace(hour=1)])
        expectation = {"assessment_name": "correctness", "expectation": {"value": "42"}, "valid": True}
        server.said[spans[0].trace_id] = [
            assessment("correctness", False, "HUMAN", rationale="the wrong order"),
            assessment("quality", 0.25, "LLM_JUDGE"),
            assessment("correctness", True, "CODE", valid=False),
            assessment("correctness", True, "CODE", span_id=spans[1].span_id),
            expectation,
        ]

        found = source.annotations("trace", list(server.spans))[spans[0].trace_id]

        assert [(a.name, a.label, a.score, a.annotator_kind, a.explanation) for a in found] == [
            ("correctness", "False", None, "HUMAN", "the wrong order"),
            ("quality", "", 0.25, "LLM", ""),
        ]
        assert source.annotations("session", ["s"]) == {}


def test_mlflow_spans_of_its_own_instrumentation_are_read_as_conversations(tmp_path: Path) -> None:
    """As MLflow 3.17.2 answers for spans that its SDK traced."""
    agent, call = new_trace()
    own = {
        "mlflow.spanType": "CHAT_MODEL",
        "mlflow.spanInputs": '{"messages": [{"role": "user", "content": "Refund W17"}], "model": "gpt-4o"}',
        "mlflow.spanOutputs": '{"choices": [{"message": {"role": "assistant", "content": "Done."}}]}',
        "mlflow.llm.model": "gpt-4o",
        "mlflow.chat.tokenUsage": '{"input_tokens": 11, "output_tokens": 3}',
    }
    with open_mlflow(tmp_path) as (server, source):
        server.put([agent, replace(call, kind="", attributes=own)])
        (trace,) = read_all(source)

        trajectory = build_trajectory(trace)

        assert [(m.role, m.content) for m in trajectory.messages] == [
            ("user", "Refund W17"),
            ("assistant", "Done."),
        ]
        assert (trajectory.usage.prompt_tokens, trajectory.usage.completion_tokens) == (11, 3)
        assert trace.spans[1].attributes["llm.model_name"] == "gpt-4o"


def test_langfuse_scores_are_annotations_of_traces_sessions_and_observations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(langfuse_source, "_PAGE", 2)
    spans = new_trace()
    trace_id, span_id = spans[0].trace_id, spans[1].span_id
    with open_langfuse(tmp_path) as (server, source):
        server.put(spans)
        of_trace = {"traceId": trace_id, "observationId": None, "source": "API", "dataType": "NUMERIC"}
        server.said[trace_id] = [
            {**of_trace, "name": "success", "value": 0.9, "comment": "fine"},
            {**of_trace, "name": "tone", "value": 1, "source": "EVAL"},
            {**of_trace, "name": "correctness", "value": 0, "stringValue": "False", "dataType": "BOOLEAN"},
            {
                **of_trace,
                "observationId": span_id,
                "name": "correctness",
                "stringValue": "wrong",
                "dataType": "CATEGORICAL",
                "source": "ANNOTATION",
            },
            {"sessionId": "s", "name": "resolution", "value": 1, "dataType": "NUMERIC", "source": "API"},
        ]

        found = source.annotations("trace", [trace_id])[trace_id]

        assert [(a.name, a.label, a.score, a.annotator_kind) for a in found] == [
            ("success", "", 0.9, "CODE"),
            ("tone", "", 1.0, "LLM"),
            ("correctness", "False", 0.0, "CODE"),
        ]
        (of_span,) = source.annotations("span", [span_id, "none"])[span_id]
        assert (of_span.label, of_span.score, of_span.annotator_kind) == ("wrong", None, "HUMAN")
        assert [a.name for a in source.annotations("session", ["s"])["s"]] == ["resolution"]


def test_langfuse_prompts_sessions_and_traces_without_observations_are_read(tmp_path: Path) -> None:
    agent, call = new_trace()
    lone = new_trace(hour=1)[:1]
    with open_langfuse(tmp_path) as (server, source):
        server.put([agent, call, *lone])
        server.traces[call.trace_id] = {"sessionId": "s-1"}
        server.observations[call.span_id] = {
            "input": "Refund W17",
            "output": "Done.",
            "model": "gpt-4o",
            "usageDetails": {"input": 11, "output": 3},
            "metadata": None,
            "level": "ERROR",
            "statusMessage": "late",
        }
        whole = server._whole
        server._whole = lambda i: whole(i) | ({"observations": []} if i == lone[0].trace_id else {})  # type: ignore[method-assign]
        trace, empty = read_all(source)

        trajectory = build_trajectory(trace)

        assert [(m.role, m.content) for m in trajectory.messages] == [
            ("user", "Refund W17"),
            ("assistant", "Done."),
        ]
        assert trajectory.session_id == "s-1"
        assert trajectory.usage.prompt_tokens == 11
        assert (trace.spans[1].status, trace.spans[1].status_message) == ("ERROR", "late")
        assert [span.span_id for span in empty.spans] == [lone[0].trace_id]
        assert empty.spans[0].end_time - empty.spans[0].start_time == timedelta(seconds=3)


def test_langfuse_without_keys_says_which_to_set(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY"):
        LangfuseSource(LangfuseSettings(cache_dir=str(tmp_path)))
    with pytest.raises(SettingsError, match="is not the URL of a Langfuse server"):
        LangfuseSettings(base_url="cloud")
