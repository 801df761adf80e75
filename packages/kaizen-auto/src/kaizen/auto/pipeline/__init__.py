"""What a span passes on its way out: the provider, collapsing, the queue, and the export."""
