"""Show the whole loop of Kaizen: a scripted model server, a Phoenix starter, and `kaizen demo`."""
