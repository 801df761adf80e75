"""The contract of a source as tests: subclass `SourceContract`, give it `source` and `put`, and run pytest.

    class TestMySource(SourceContract):
        @pytest.fixture
        def source(self):
            return MySource(project="empty")

        def put(self, source, spans):
            send(source.project, spans)

`source` reads a project without traces when a test starts. `put` returns when the spans can be read back.
Three things more are asked of a source that can do them: `remove` deletes traces, `refused` is a source that
may not read, and `keeps_spans = False` says that a source makes spans of its own from what it reads, such as
transcripts; then traces are compared, and not their spans. Needs the extra `kaizen-sync[testing]`.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(f"{__name__}.sources")

from kaizen.sync.testing.sources import SourceContract  # noqa: E402 - only now are asserts rewritten

__all__ = ["SourceContract"]
