"""`kaizen sync`: commands that turn traces into tips."""
