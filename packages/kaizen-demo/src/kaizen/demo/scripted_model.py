"""Answer a conversation by a script, and remember nothing in between."""

from __future__ import annotations

import json
from dataclasses import dataclass

from kaizen.demo.conversation import Conversation, RequestError
from kaizen.demo.scenario import Answer, Scenarios

UNSCRIPTED = Answer("I am a scripted model, and no scenario covers this conversation.")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, and where in which scenario it stands: what a later request may refer back to."""

    answer: Answer
    scenario: str
    step: int


def reply_to(conversation: Conversation, scenarios: Scenarios) -> Reply:
    """Answer a conversation; the same conversation always gets the same answer.

    :raises RequestError: when JSON is asked for by a schema that no scenario answers.
    """
    step = conversation.step
    for agent in scenarios.agents:
        if agent.name == conversation.resumed[0] if conversation.resumed else agent.when.holds(conversation):
            return Reply(agent.answer(conversation), agent.name, step + 1)
    match conversation.schema_name:
        case None:
            return Reply(UNSCRIPTED, "unscripted", step + 1)
        case "kaizen_tips":
            found = [tip for rule in scenarios.tips for tip in rule.answers(conversation.text)]
            value = {"tips": found}
        case "kaizen_compare":
            found = [tip for rule in scenarios.comparisons for tip in rule.answers(conversation.text)]
            value = {"tips": found}
        case "kaizen_reconcile":
            found = [one for rule in scenarios.decisions for one in rule.answers(conversation.text)]
            value = {"decisions": found}
        case "kaizen_segments":
            value = {"segments": []}
        case "kaizen_consolidate":
            found = [one for rule in scenarios.groups for one in rule.answers(conversation.text)]
            value = {"groups": found}
        case name:
            raise RequestError(f"No scenario answers the JSON schema {name!r}.")
    return Reply(Answer(json.dumps(value)), conversation.schema_name, step + 1)
