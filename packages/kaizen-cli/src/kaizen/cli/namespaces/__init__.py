"""`kaizen namespaces`: commands on namespaces, the units of isolation in a store."""
