"""Estimate which tips help: pure functions over values, which import nothing of the run."""
