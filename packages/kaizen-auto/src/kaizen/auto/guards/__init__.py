"""Guards against faults of instrumentors, one module for each kind of fault."""
