"""What the sync remembers: records of traces, checkpoint, claims, report."""
