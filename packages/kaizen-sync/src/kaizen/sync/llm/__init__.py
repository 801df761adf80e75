"""Ask models: the client, the schemas of their answers, retries."""
