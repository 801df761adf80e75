"""The source of the transcripts that Claude Code leaves on disk."""
