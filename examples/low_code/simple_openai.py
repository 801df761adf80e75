"""The OpenAI SDK, plain: books a train whose timetable wants dates in a form that nobody would guess."""

try:
    import kaizen.auto  # noqa: F401
except ImportError:
    pass

import json
import os
import re

from openai import OpenAI

MODEL = os.getenv("KAIZEN_EXAMPLE_AGENT_MODEL") or os.getenv("KAIZEN_TIPS_MODEL") or "gpt-4.1-mini"
TASK = "Book the earliest train from Basel to Milano on 14 March 2026, then tell me its booking code."


def find_trains(origin: str, destination: str, date: str) -> list[dict[str, str]]:
    if not re.fullmatch(r"\d{2}[A-Z]{3}\d{2}", date):
        raise ValueError(f"date must look like 05JAN26 (day, month, year), got {date}")
    route = {"from": origin, "to": destination, "date": date}
    return [{"train": "EC 51", "leaves": "06:28", **route}, {"train": "EC 57", "leaves": "12:28", **route}]


def book_train(train: str, date: str) -> str:
    return f"Booked {train} on {date}, booking code K7QX2."


TOOLS = {"find_trains": find_trains, "book_train": book_train}


def call(name: str, arguments: str) -> str:
    try:
        result = json.dumps(TOOLS[name](**json.loads(arguments)))
    except (KeyError, TypeError, ValueError) as error:
        result = f"Error: {error}"
    print(f"  {name}({arguments}) -> {result}")
    return result


def schema(name: str, *parameters: str) -> dict:
    shape = {"type": "object", "properties": {parameter: {"type": "string"} for parameter in parameters}}
    return {"type": "function", "function": {"name": name, "parameters": shape}}


client, model = OpenAI(), MODEL.removeprefix("openai/")
tools = [schema("find_trains", "origin", "destination", "date"), schema("book_train", "train", "date")]
messages = [{"role": "user", "content": TASK}]
for _ in range(8):
    answer = client.chat.completions.create(model=model, messages=messages, tools=tools).choices[0].message
    messages.append(answer.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True))
    for one in answer.tool_calls or []:
        result = call(one.function.name, one.function.arguments)
        messages.append({"role": "tool", "tool_call_id": one.id, "content": result})
    if not answer.tool_calls:
        print(answer.content)
        break
else:
    raise SystemExit("no answer after 8 steps")
