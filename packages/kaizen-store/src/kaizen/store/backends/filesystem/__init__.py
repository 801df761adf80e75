"""The backend `filesystem`: a journal of commits a namespace."""
