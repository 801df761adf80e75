"""The source of files: OTLP as JSON, what Phoenix and OpenInference export, and chats."""
