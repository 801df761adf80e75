"""The API is as it is described: schemathesis makes requests of the description, and checks the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kaizen.serve.api import openapi
from tests.support.serving import app_of, bearer, opened
from tests.support.slow import SLOW

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = 8
REFUSED = ["400", "404", "409", "413", "414"]


@pytest.mark.skipif(not SLOW, reason="KAIZEN_TEST_SLOW is not true")
@pytest.mark.parametrize("name", sorted(openapi.operation_ids()))
def test_an_operation_answers_as_it_is_described(name: str, tmp_path: Path) -> None:
    import schemathesis
    from hypothesis import HealthCheck, given, settings
    from schemathesis.generation.modes import GenerationMode

    with opened(tmp_path) as (store, where):
        config = schemathesis.Config.from_dict(
            {"checks": {"negative_data_rejection": {"expected-statuses": REFUSED}}}
        )
        schema = schemathesis.openapi.from_asgi(
            "/openapi.json", app_of(store, where, hosts="testserver"), headers=bearer("root"), config=config
        )
        operation = schema.find_operation_by_id(name)
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            cases = operation.as_strategy(generation_mode=mode)

            @given(case=cases)
            @settings(
                max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
            )
            def check(case: schemathesis.Case) -> None:
                case.call_and_validate(headers=bearer("root"))

            check()
