"""From spans to the messages of a run. Pure."""
