"""smolagents: quotes a parcel from a catalogue that weighs in grams, for a carrier that wants kilograms."""

try:
    import kaizen.auto  # noqa: F401
except ImportError:
    pass

import os

from smolagents import OpenAIModel, ToolCallingAgent, tool

MODEL = os.getenv("KAIZEN_EXAMPLE_AGENT_MODEL") or os.getenv("KAIZEN_TIPS_MODEL") or "gpt-4.1-mini"
TASK = "What does it cost to ship three coffee grinders to Porto?"


@tool
def look_up_product(name: str) -> dict:
    """Look up a product in the catalogue.

    Args:
        name: What the product is called.
    """
    return {"name": name, "sku": "CG-2", "weight": 2400, "stock": 41}


@tool
def quote_shipping(weight: float, city: str) -> str:
    """Quote the shipping of one parcel.

    Args:
        weight: The weight of the whole parcel.
        city: Where it goes.
    """
    if weight > 70:
        raise ValueError(f"weight {weight:g} is over the limit of 70 kg (the catalogue gives grams)")
    return f"{4 + 2.5 * weight:.2f} EUR to {city}"


model = OpenAIModel(model_id=MODEL.removeprefix("openai/"))
agent = ToolCallingAgent(tools=[look_up_product, quote_shipping], model=model, max_steps=6)
print(agent.run(TASK))
