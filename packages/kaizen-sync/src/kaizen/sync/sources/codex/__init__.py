"""The source of the rollouts that Codex leaves on disk."""
