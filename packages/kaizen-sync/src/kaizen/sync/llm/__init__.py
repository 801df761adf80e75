"""Asking models: the client, the schemas of answers, retries."""
