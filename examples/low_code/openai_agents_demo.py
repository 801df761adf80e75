"""The OpenAI Agents SDK: restarts a service that does not let itself be restarted while it has work."""

try:
    import kaizen.auto  # noqa: F401
except ImportError:
    pass

import os

from agents import Agent, Runner, function_tool

MODEL = os.getenv("KAIZEN_EXAMPLE_AGENT_MODEL") or os.getenv("KAIZEN_TIPS_MODEL") or "gpt-4.1-mini"
TASK = "Customers cannot pay. Find the service that is unhealthy, checkout or payments, and restart it."
JOBS = {"checkout": 0, "payments": 17}


@function_tool
def service_status(name: str) -> str:
    """Tell how a service is."""
    print(f"  service_status({name})")
    return f"{name}: {'unhealthy' if name == 'payments' else 'healthy'}, {JOBS[name]} jobs in progress"


@function_tool(failure_error_function=lambda _, error: f"Error: {error}")
def restart_service(name: str) -> str:
    """Restart a service."""
    print(f"  restart_service({name}) with {JOBS[name]} jobs in progress")
    if JOBS[name]:
        raise RuntimeError(f"{name} has {JOBS[name]} jobs in progress: call drain_service before a restart")
    return f"{name} restarted and healthy"


@function_tool
def drain_service(name: str) -> str:
    """Let a service finish its work and take no more."""
    print(f"  drain_service({name})")
    JOBS[name] = 0
    return f"{name} drained, 0 jobs in progress"


agent = Agent(
    name="On-call engineer",
    instructions="You keep a shop's services running. Look before you act, and say what you did.",
    model=MODEL.removeprefix("openai/"),
    tools=[service_status, restart_service, drain_service],
)
print(Runner.run_sync(agent, TASK, max_turns=8).final_output)
