"""A person at a browser: logs in, looks, presses keys, takes pictures."""

from __future__ import annotations

import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from kaizen.serve.security.callers import COOKIE
from tests.support.serving import SECRETS

CHROMIUM = Path(os.environ.get("KAIZEN_TEST_CHROMIUM") or "/usr/bin/chromium")
ARTIFACTS = Path(
    os.environ.get("KAIZEN_TEST_ARTIFACTS") or Path(__file__).parents[2] / ".artifacts" / "browser"
)
_SERIOUS = ("serious", "critical")
# What moves while a page loads: https://web.dev/articles/cls calls up to 0.1 good.
_WATCH_SHIFTS = """
window.shifts = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifts += entry.value;
}).observe({type: "layout-shift", buffered: true});
"""


class Visitor:
    """Somebody with a token, or without one if `who` is empty."""

    def __init__(
        self,
        browser: Any,
        url: str,
        *,
        name: str,
        who: str = "root",
        width: int = 1280,
        scheme: str = "light",
    ) -> None:
        self.url = url
        self.name = re.sub(r"\W+", "-", name)
        self.complaints: list[str] = []
        self.context = browser.new_context(viewport={"width": width, "height": 860}, color_scheme=scheme)
        self.context.add_init_script(_WATCH_SHIFTS)
        # Machines that test have much else to do.
        self.context.set_default_timeout(60_000)
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        if who:
            self.context.add_cookies([{"name": COOKIE, "value": SECRETS[who], "url": url}])

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def go(self, path: str) -> Any:
        """Go to a page of the server, and wait until all that it loads by itself is there."""
        response = self.page.goto(self.url + path)
        self.page.locator(".reading").first.wait_for(state="detached")
        return response

    def text(self, selector: str = "main") -> str:
        return str(self.page.inner_text(selector))

    def picture(self, label: str) -> None:
        self.page.screenshot(path=str(ARTIFACTS / f"{self.name}-{label}.png"), full_page=True)

    def scrolls_sideways(self) -> int:
        """How many pixels the page is wider than the window."""
        root = "document.documentElement"
        return int(self.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth"))

    def shifts(self) -> float:
        return float(self.page.evaluate("window.shifts"))

    def inaccessible(self) -> list[str]:
        """What axe finds to be serious."""
        # Evaluated, since the policy of the pages lets no script in that is not theirs.
        self.page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
            for one in found["violations"]
            if one["impact"] in _SERIOUS
            for node in one["nodes"]
        ]
