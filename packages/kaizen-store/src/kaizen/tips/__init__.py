"""What a tip is, and how tips are merged, reviewed and written down."""
