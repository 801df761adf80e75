"""One run of the sync: select, prepare, generate, commit."""
