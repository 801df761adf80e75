"""Where snapshots come from: a source, its document, and the copy of it on disk."""
