"""`python -m kaizen.recall`: what a run would be shown, why, and where the tips are from."""

from __future__ import annotations

import argparse
import json
import sys

from kaizen.recall.explaining import as_text, explain


def main(arguments: list[str] | None = None) -> int:
    """Print it; the exit code is 1 if there is no snapshot to choose from."""
    parser = argparse.ArgumentParser(prog="python -m kaizen.recall", description=__doc__)
    parser.add_argument("task", help="what the user asks for")
    parser.add_argument("--tool", action="append", default=[], metavar="NAME", help="a tool of the agent")
    parser.add_argument("--instructions", default="", help="the system prompt")
    parser.add_argument("--from", dest="source", default="", help="a store, file or URL [KAIZEN_RECALL_FROM]")
    parser.add_argument("--namespace", default="", help="namespace of the tips [KAIZEN_NAMESPACE_ID]")
    parser.add_argument("--explain", action="store_true", help="with scores, and the tips that are not shown")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    explanation = explain(
        given.task,
        given.tool,
        instructions=given.instructions,
        source=given.source,
        namespace_id=given.namespace,
    )
    text = (
        json.dumps(explanation.to_json(), indent=2)
        if given.json
        else as_text(explanation, with_scores=given.explain)
    )
    sys.stdout.write(f"{text}\n")
    return 0 if explanation.snapshot else 1


if __name__ == "__main__":
    sys.exit(main())
