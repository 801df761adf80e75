"""Work with commits: undo them, copy them to another store, write them as lines and read them back."""
