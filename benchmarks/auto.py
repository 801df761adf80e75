"""What kaizen.auto costs an agent: `python benchmarks/auto.py [--calls 200] [--repeat 3]`.

Every number comes from processes of their own that talk to a scripted model over HTTP on this machine. CPU is
process time, best of the repeats; per call, the median.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kaizen.cli.demo.model_server import ModelServer

VARIANTS = {
    "no tracing": "",
    "phoenix.otel, auto_instrument": (
        "from phoenix.otel import register\n"
        "register(endpoint=endpoint + '/v1/traces', auto_instrument=True, verbose=False)\n"
    ),
    "phoenix.otel, batch": (
        "from phoenix.otel import register\n"
        "register(endpoint=endpoint + '/v1/traces', auto_instrument=True, batch=True, verbose=False)\n"
    ),
    "kaizen.auto": "os.environ['KAIZEN_AUTO_ENABLED'] = '1'\nimport kaizen.auto\n",
}
COLLECTORS = ("up", "down", "silent")

IMPORT = """
import json, time
before = time.process_time()
import kaizen.auto
print(json.dumps(time.process_time() - before))
"""

AGENT = """
import atexit, json, os, statistics, time
endpoint = os.environ["KAIZEN_TRACING_ENDPOINT"]
before = time.process_time()
{setup}
import openai
imported = time.process_time() - before
client = openai.OpenAI(timeout=60)
messages = [{{"role": "user", "content": "hello"}}] * {messages}
wall, cpu = [], []
for _ in range({calls}):
    a, b = time.perf_counter(), time.process_time()
    client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    wall.append(time.perf_counter() - a)
    cpu.append(time.process_time() - b)
print(json.dumps([imported, statistics.median(wall), statistics.median(cpu), time.time()]), flush=True)
"""


class Collector:
    """A collector that answers, or takes the request and says nothing."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        stopping = self._stopping = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                if mode == "silent":
                    stopping.wait(120)
                    return
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        if self.mode == "down":
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                return f"http://127.0.0.1:{free.getsockname()[1]}"
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._stopping.set()
        self._server.shutdown()


def run(source: str, folder: Path, **environment: str) -> tuple[Any, float]:
    """The last line that a process printed, as JSON, and when the process had ended."""
    agent = folder / "agent.py"
    agent.write_text(source)
    cleared = ("KAIZEN", "OTEL", "PHOENIX")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(cleared)}
    ended = subprocess.run(
        [sys.executable, str(agent)],
        env={**kept, "OPENAI_API_KEY": "no-key", "LITELLM_LOCAL_MODEL_COST_MAP": "True", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout.splitlines()[-1]), time.time()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--blocking", action="store_true", help="also the variants that wait for the collector"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ModelServer() as model:
        folder = Path(name)
        for label, enabled in (("disabled", ""), ("enabled, no framework", "1")):
            best = min(run(IMPORT, folder, KAIZEN_AUTO_ENABLED=enabled)[0] for _ in range(given.repeat))
            print(f"import kaizen.auto, {label}: {best * 1e3:.1f} ms CPU")
        print("\n| variant | collector | messages | import CPU ms | call ms | call CPU ms | exit s |")
        print("|---|---|---|---|---|---|---|")
        for variant, setup in VARIANTS.items():
            for mode in COLLECTORS if variant != "no tracing" else ("up",):
                if mode != "up" and variant == "phoenix.otel, auto_instrument" and not given.blocking:
                    continue
                for messages in (2, 100):
                    source = AGENT.format(setup=setup, messages=messages, calls=given.calls)
                    rows = []
                    for _ in range(given.repeat if mode == "up" else 1):
                        collector = Collector(mode)
                        (imported, wall, cpu, last), end = run(
                            source,
                            folder,
                            KAIZEN_TRACING_ENDPOINT=collector.url,
                            OPENAI_BASE_URL=model.base_url,
                        )
                        collector.close()
                        rows.append((imported, wall, cpu, end - last))
                    imported, wall, cpu, left = (min(column) for column in zip(*rows, strict=True))
                    print(
                        f"| {variant} | {mode} | {messages} | {imported * 1e3:.0f} | {wall * 1e3:.2f} "
                        f"| {cpu * 1e3:.2f} | {left:.2f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
