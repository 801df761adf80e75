"""Generate tips from a story: by a model, or mined without one."""
