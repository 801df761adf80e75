"""What `kaizen demo` is made of: a scripted model server, a Phoenix runner and the examples."""
