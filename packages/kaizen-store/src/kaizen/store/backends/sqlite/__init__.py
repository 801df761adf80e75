"""The backend `sqlite`: one database file."""
