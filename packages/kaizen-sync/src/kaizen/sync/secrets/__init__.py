"""Find secrets in texts: by what they look like, by what stands beside them, encoded or broken up too."""

from __future__ import annotations

from kaizen.sync.secrets.search import Secret, find_secrets

__all__ = ["Secret", "find_secrets"]
