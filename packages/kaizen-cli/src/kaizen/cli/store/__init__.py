"""`kaizen store`: commands on whole stores."""
