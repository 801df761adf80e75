"""LiteLLM: files a month's total in a ledger that shows its invoices page by page, and does not say so."""

try:
    import kaizen.auto  # noqa: F401
except ImportError:
    pass

import json
import os

import litellm

MODEL = os.getenv("KAIZEN_EXAMPLE_AGENT_MODEL") or os.getenv("KAIZEN_TIPS_MODEL") or "gpt-4.1-mini"
TASK = "Add up the invoices of 2026-02 and file the total. Then tell me the total and its receipt."
INVOICES = [120, 340, 95, 410, 60, 275, 200]


def list_invoices(month: str, page: int = 1) -> list[dict]:
    invoices = [{"number": f"R-{month}-{n}", "eur": eur} for n, eur in enumerate(INVOICES, start=1)]
    return invoices[3 * page - 3 : 3 * page]


def file_total(month: str, total_eur: int) -> str:
    if total_eur != sum(INVOICES):
        raise ValueError("invoices are left out: list_invoices shows 3 a page, read until a page is empty")
    return f"Filed {total_eur} EUR for {month}, receipt F-88."


TOOLS = {"list_invoices": list_invoices, "file_total": file_total}


def call(name: str, arguments: str) -> str:
    try:
        result = json.dumps(TOOLS[name](**json.loads(arguments)))
    except (KeyError, TypeError, ValueError) as error:
        result = f"Error: {error}"
    print(f"  {name}({arguments}) -> {result}")
    return result


def schema(name: str, number: str) -> dict:
    properties = {"month": {"type": "string"}, number: {"type": "integer"}}
    shape = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "parameters": shape}}


tools = [schema("list_invoices", "page"), schema("file_total", "total_eur")]
messages = [{"role": "user", "content": TASK}]
for _ in range(8):
    answer = litellm.completion(model=MODEL, messages=messages, tools=tools).choices[0].message
    messages.append(answer.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True))
    for one in answer.tool_calls or []:
        result = call(one.function.name, one.function.arguments)
        messages.append({"role": "tool", "tool_call_id": one.id, "content": result})
    if not answer.tool_calls:
        print(answer.content)
        break
else:
    raise SystemExit("no answer after 8 steps")
