"""Take the picture of the page in the README: `kaizen serve` on what the experiment of the demo taught."""

from __future__ import annotations

import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from playwright.sync_api import sync_playwright

from kaizen.demo.experiment import play_experiment
from kaizen.serve import ServeSettings, create_app
from kaizen.store import StoreSettings, open_store

TARGET = Path(__file__).resolve().parent.parent / "docs/page.png"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
SIZE = {"width": 1120, "height": 660}
MOST_BYTES = 150_000


@contextmanager
def served(where: StoreSettings) -> Iterator[str]:
    """Play the experiment into a store, and serve it; give the address."""
    with open_store(where) as store, socket.socket() as listening:
        play_experiment(store, where.namespace_id)
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(ServeSettings(), store, where), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.05)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        where = StoreSettings(data_dir=Path(directory), embedder="none")
        with served(where) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            page = browser.new_page(viewport=SIZE)
            page.goto(url)
            page.screenshot(path=TARGET)
            browser.close()
    size = TARGET.stat().st_size
    print(f"{TARGET}: {size:,} bytes")
    if size > MOST_BYTES:
        sys.exit(f"more than {MOST_BYTES:,} bytes: make it smaller")


if __name__ == "__main__":
    main()
