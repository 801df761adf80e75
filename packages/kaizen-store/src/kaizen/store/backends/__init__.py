"""Hold the built-in backends, one package each."""
