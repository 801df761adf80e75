"""`kaizen proof`: what tips do, measured by the runs that were not shown them."""
