"""How runs ended: rules over annotations, and who is asked."""
