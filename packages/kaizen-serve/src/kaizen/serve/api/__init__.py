"""The HTTP API: its operations, the shapes of what they take and give, and the description of both."""
