"""`kaizen fleet`: many machines that share the work of the sync."""
