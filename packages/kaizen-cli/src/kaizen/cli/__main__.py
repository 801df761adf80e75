"""`python -m kaizen.cli` is `kaizen`."""

from __future__ import annotations

from kaizen.cli.app import main

if __name__ == "__main__":
    main()
