"""`kaizen entities`: commands on tips and all other entities."""
