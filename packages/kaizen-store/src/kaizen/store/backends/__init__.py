"""The built-in backends, one package each."""
