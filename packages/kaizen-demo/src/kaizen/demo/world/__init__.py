"""A small world to learn in: tasks whose tools have rules that only their errors show.

A family (`family`) declares tools, a rule and how tasks are worded; a task (`task`) is one of its instances,
with a state that calls change. `agent` lets any OpenAI-compatible model work in it; `player` is an agent
without a model. The families are in `development`; those in `held_out` are for the benchmark alone.
"""
