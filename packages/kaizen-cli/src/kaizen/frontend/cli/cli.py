"""The older spelling of the command, `python -m kaizen.frontend.cli.cli`, runs the same app."""

from __future__ import annotations

from kaizen.cli.app import main

if __name__ == "__main__":
    main()
