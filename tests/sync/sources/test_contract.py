"""Our sources, held to the contract that sources of others are held to."""

from __future__ import annotations

import json
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kaizen.sync import PhoenixSettings
from kaizen.sync.model import Trace
from kaizen.sync.sources.claude_code.settings import ClaudeCodeSettings
from kaizen.sync.sources.claude_code.source import ClaudeCodeSource
from kaizen.sync.sources.codex.settings import CodexSettings
from kaizen.sync.sources.codex.source import CodexSource
from kaizen.sync.sources.files.settings import FilesSettings
from kaizen.sync.sources.files.source import FilesSource
from kaizen.sync.sources.langfuse import source as langfuse_source
from kaizen.sync.sources.langfuse.settings import LangfuseSettings
from kaizen.sync.sources.langfuse.source import LangfuseSource
from kaizen.sync.sources.mlflow import source as mlflow_source
from kaizen.sync.sources.mlflow.settings import MlflowSettings
from kaizen.sync.sources.mlflow.source import MlflowSource
from kaizen.sync.sources.phoenix import source as phoenix_source
from kaizen.sync.sources.phoenix.source import PhoenixSource
from kaizen.sync.testing import SourceContract
from tests.support.ill_phoenix import Answer, IllPhoenix
from tests.support.listed import ListedSource
from tests.support.played import PlayedLangfuse, PlayedMlflow, PlayedServer
from tests.support.played_phoenix import PlayedPhoenix
from tests.support.polling import wait_until
from tests.support.slow import only_where_slow
from tests.support.spans import delete_trace, make_span, post_spans, read_spans, send_spans
from tests.support.written import append, claude_lines, codex_lines, otlp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kaizen.demo.phoenix_server import PhoenixServer
    from kaizen.sync.model import Span
    from kaizen.sync.sources.base import Source


class PhoenixContract(SourceContract):
    many = 11

    @pytest.fixture(autouse=True)
    def pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(phoenix_source, "_INDEX_PAGE", 5)

    @pytest.fixture
    def refused(self) -> Iterator[PhoenixSource]:
        with (
            IllPhoenix(Answer(status=401, body="Invalid token", content_type="text/plain")) as server,
            PhoenixSource(PhoenixSettings(base_url=server.url, project="p")) as source,
        ):
            yield source


class TestPlayedPhoenix(PhoenixContract):
    @pytest.fixture
    def source(self) -> Iterator[PhoenixSource]:
        with (
            PlayedPhoenix() as self.server,
            PhoenixSource(PhoenixSettings(base_url=self.server.url, project="p")) as source,
        ):
            yield source

    def put(self, source: Source, spans: Sequence[Span]) -> None:
        self.server.add(spans)

    def remove(self, source: Source, trace_ids: Sequence[str]) -> None:
        self.server.remove(trace_ids)


@only_where_slow
class TestPhoenix(PhoenixContract):
    def remove(self, source: Source, trace_ids: Sequence[str]) -> None:
        assert isinstance(source, PhoenixSource)
        for trace_id in trace_ids:
            delete_trace(source.url, trace_id)

    @pytest.fixture
    def source(self, phoenix: PhoenixServer, project: str) -> Iterator[PhoenixSource]:
        post_spans(phoenix.url, project, [])
        with PhoenixSource(PhoenixSettings(base_url=phoenix.url, project=project)) as source:
            wait_until(lambda: project in source.projects(), what="the project")
            yield source

    def put(self, source: Source, spans: Sequence[Span]) -> None:
        assert isinstance(source, PhoenixSource)
        sent = [
            make_span(
                name=span.name,
                kind=span.kind,
                trace_id=span.trace_id,
                span_id=span.span_id,
                parent_id=span.parent_id,
                start=span.start_time,
                duration_s=(span.end_time - span.start_time).total_seconds(),
                attributes=span.attributes,
            )
            for span in spans
        ]
        known = {span["context"]["span_id"] for span in read_spans(source.url, source.project)}
        # Phoenix's REST interface refuses a span that it has.
        new = [span for span in sent if span["context"]["span_id"] not in known]
        send_spans(source.url, source.project, new)


class TestListed(SourceContract):
    """The source that tests of a sync use."""

    @pytest.fixture
    def source(self) -> ListedSource:
        return ListedSource([])

    def put(self, source: Source, spans: Sequence[Span]) -> None:
        assert isinstance(source, ListedSource)
        held = {span.span_id: span for trace in source.traces.values() for span in trace.spans}
        new = [span for span in spans if span.span_id not in held]
        together = sorted(
            [*held.values(), *new], key=lambda span: (span.trace_id, span.start_time, span.span_id)
        )
        for trace_id, found in groupby(together, key=lambda span: span.trace_id):
            source.traces[trace_id] = Trace(trace_id=trace_id, spans=tuple(found))

    def remove(self, source: Source, trace_ids: Sequence[str]) -> None:
        assert isinstance(source, ListedSource)
        for trace_id in trace_ids:
            del source.traces[trace_id]


def batched(spans: Sequence[Span]) -> Iterator[list[Span]]:
    rest = iter(spans)
    while few := list(islice(rest, 3)):
        yield few


class TestFiles(SourceContract):
    many = 450  # the index is read in pages of 200

    @pytest.fixture
    def source(self, tmp_path: Path) -> Iterator[FilesSource]:
        (tmp_path / "traces").mkdir()
        with FilesSource(FilesSettings(path=str(tmp_path / "traces"), cache_dir=str(tmp_path))) as source:
            yield source

    @pytest.fixture
    def refused(self, tmp_path: Path) -> FilesSource:
        return FilesSource(FilesSettings(path=str(tmp_path / "nowhere"), cache_dir=str(tmp_path)))

    def put(self, source: Source, spans: Sequence[Span]) -> None:
        # Traces lie across lines and across files, as a collector leaves them.
        for number, few in enumerate(batched(spans)):
            append(Path(source.project, f"{number % 2}.jsonl"), otlp(*few))

    def remove(self, source: Source, trace_ids: Sequence[str]) -> None:
        for path in Path(source.project).iterdir():
            kept = [line for line in path.read_text().splitlines(keepends=True) if line]
            values = [json.loads(line) for line in kept]
            path.unlink()
            spans = [span for value in values for span in value["resourceSpans"][0]["scopeSpans"][0]["spans"]]
            left = [span for span in spans if span["traceId"] not in trace_ids]
            append(path, {"resourceSpans": [{"scopeSpans": [{"spans": left}]}]})


class SessionContract(SourceContract):
    """Sessions of coding agents: each is a trace, and each message in it a second of it."""

    keeps_spans = False

    def put(self, source: Source, spans: Sequence[Span]) -> None:
        for trace_id, found in groupby(sorted(spans, key=lambda s: s.trace_id), key=lambda s: s.trace_id):
            self.add(source, trace_id, sorted(found, key=lambda span: span.start_time))

    def add(self, source: Source, trace_id: str, spans: Sequence[Span]) -> None:
        raise NotImplementedError


def said(spans: Sequence[Span]) -> list[dict[str, str]]:
    """What a session says of spans: one message each, in turns."""
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": f"{span.name} {n}"} for n, span in enumerate(spans)]


class TestClaudeCode(SessionContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> Iterator[ClaudeCodeSource]:
        (tmp_path / "projects/-work-app").mkdir(parents=True)
        settings = ClaudeCodeSettings(project="/work/app", claude_dir=str(tmp_path), cache_dir=str(tmp_path))
        with ClaudeCodeSource(settings) as source:
            self.sessions = tmp_path / "projects/-work-app"
            yield source

    def add(self, source: Source, trace_id: str, spans: Sequence[Span]) -> None:
        path = self.sessions / f"{trace_id}.jsonl"
        held = len(path.read_text().splitlines()) if path.exists() else 0
        lines = claude_lines(said(spans), session=trace_id, start=spans[0].start_time, first=held)
        append(path, *lines)

    def remove(self, source: Source, trace_ids: Sequence[str]) -> None:
        for trace_id in trace_ids:
            (self.sessions / f"{trace_id}.jsonl").unlink()


class TestCodex(SessionContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> Iterator[CodexSource]:
        (tmp_path / "sessions").mkdir()
        settings = CodexSettings(project="/work/app", codex_dir=str(tmp_path), cache_dir=str(tmp_path))
        with CodexSource(settings) as source:
            self.sessions = tmp_path / "sessions"
            yield source

    def add(self, source: Source, trace_id: str, spans: Sequence[Span]) -> None:
        path = self.sessions / f"2026/01/01/rollout-2026-01-01T12-00-00-{trace_id}.jsonl"
        lines = codex_lines(said(spans), session=trace_id, start=spans[0].start_time)
        append(path, *(lines[4:] if path.exists() else lines))

    def remove(self, source: Source, trace_ids: Sequence[str]) -> None:
        for trace_id in trace_ids:
            next(self.sessions.rglob(f"*{trace_id}.jsonl")).unlink()


class PlayedContract(SourceContract):
    """Servers that are played: what is put there is there."""

    many = 11
    server: PlayedServer

    def put(self, source: Source, spans: Sequence[Span]) -> None:
        self.server.put(spans)

    def remove(self, source: Source, trace_ids: Sequence[str]) -> None:
        self.server.remove(trace_ids)


class TestMlflow(PlayedContract):
    @pytest.fixture
    def source(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowSource]:
        monkeypatch.setattr(mlflow_source, "_PAGE", 5)
        with PlayedMlflow() as self.server:
            settings = MlflowSettings(base_url=self.server.url, project="p", cache_dir=str(tmp_path))
            with MlflowSource(settings) as source:
                yield source

    @pytest.fixture
    def refused(self, source: MlflowSource) -> MlflowSource:
        self.server.authorization = "Bearer another"
        return source


class TestLangfuse(PlayedContract):
    @pytest.fixture
    def source(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LangfuseSource]:
        monkeypatch.setattr(langfuse_source, "_PAGE", 5)
        with PlayedLangfuse() as self.server:
            settings = LangfuseSettings(
                base_url=self.server.url, public_key="pk-lf-1", secret_key="sk-lf-1", cache_dir=str(tmp_path)
            )
            with LangfuseSource(settings) as source:
                yield source

    @pytest.fixture
    def refused(self, source: LangfuseSource) -> LangfuseSource:
        self.server.authorization = "Basic another"
        return source
