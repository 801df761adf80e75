"""MLflow as a source of traces."""
