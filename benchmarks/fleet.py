"""Many machines: `python benchmarks/fleet.py` prints Markdown tables. `--sections` names what to measure.

A real PostgreSQL, a server that plays Phoenix (`replayed_phoenix.py`), the scripted model, and workers as
processes of their own, all on this machine: so each row says what CPU its parts took. PostgreSQL runs without
fsync; traces have one span of 1 KB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from kaizen.store import StoreSettings, open_store
from kaizen.sync.fleet import Database, Limits, Schedule, read_status, set_limits, set_schedule
from tests.support.postgres import PostgresServer, database

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTIONS = ("workers", "cores", "nothing-new", "limit", "kills")
KAIZEN = [sys.executable, "-m", "kaizen.cli"]
TICK_S = 10


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@dataclass
class World:
    """One database, one Phoenix and one model for a row of a table, and the workers that use them."""

    postgres: PostgresServer
    name: str
    projects: int
    traces: int
    delay_s: float
    kind: str = "LLM"
    record: bool = False
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    ended_cpu_s: float = 0.0

    def __post_init__(self) -> None:
        self.url = database(self.postgres.url, self.name)
        self.environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        self.phoenix, address = self._served(
            "benchmarks/replayed_phoenix.py", str(self.traces), self.kind, str(self.projects)
        )
        self.phoenix_port = address.rpartition(":")[2]
        self.requests = self.postgres.directory / f"{self.name}.jsonl"
        recording = ("--record", str(self.requests)) if self.record else ()
        self.model, model_url = self._served(
            "-m", "kaizen.demo.model_server", "--delay", str(self.delay_s), *recording
        )
        self.environ |= {
            "PHOENIX_URL": address,
            "OPENAI_BASE_URL": model_url,
            "OPENAI_API_KEY": "scripted",
            "KAIZEN_TIPS_MODEL": "openai/gpt-4.1-mini",
            "KAIZEN_BACKEND": self.url,
        }
        self.database = Database(StoreSettings.from_url(self.url).pg_dsn)
        self.database.prepare()

    def _served(self, *program: str) -> tuple[subprocess.Popen[bytes], str]:
        server = subprocess.Popen(
            [sys.executable, *program],
            stdout=subprocess.PIPE,
            env=self.environ,
            cwd=Path(__file__).parents[1],
        )
        assert server.stdout is not None
        return server, server.stdout.readline().decode().strip()

    def start_worker(self, *, calls: int, jobs: int = 4) -> subprocess.Popen[bytes]:
        command = [*KAIZEN, "fleet", "worker", "--calls", str(calls), "--jobs", str(jobs)]
        with (self.postgres.directory / f"{self.name}.log").open("ab") as log:
            worker = subprocess.Popen(command, env=self.environ, stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    def kill(self, worker: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
        self.ended_cpu_s += cpu_s(worker.pid)
        worker.send_signal(number)
        worker.wait()
        self.workers.remove(worker)

    def schedule(self, every_s: float = 15.0) -> None:
        set_schedule(self.database, Schedule(name="all", namespace="{project}", every_s=every_s))

    def done(self) -> int:
        return sum(self.states().values())

    def states(self) -> Counter[str]:
        """The records of all namespaces by state, as the store has them."""
        rows = self.database.execute(
            "SELECT s.metadata->>'state' AS state, count(*) FROM kaizen.entities e "
            "JOIN kaizen.states s USING (ns, entity_id, version) WHERE s.type = 'trajectory' GROUP BY 1"
        )
        return Counter({row["state"]: row["count"] for row in rows})

    def calls(self) -> int:
        rows = self.database.execute("SELECT coalesce(sum(calls), 0)::bigint AS calls FROM work")
        return int(rows[0]["calls"])

    def used(self) -> dict[str, float]:
        postmaster = int((self.postgres.directory / "data/postmaster.pid").read_text().split()[0])
        return {
            "workers": self.ended_cpu_s + sum(cpu_s(worker.pid) for worker in self.workers),
            "postgres": cpu_s(postmaster) + sum(cpu_s(child) for child in children(postmaster)),
            "phoenix": cpu_s(self.phoenix.pid),
            "model": cpu_s(self.model.pid),
        }

    def close(self) -> None:
        for worker in list(self.workers):
            worker.terminate()
            worker.wait()
        for server in (self.phoenix, self.model):
            server.kill()
            server.wait()


@contextmanager
def world(postgres: PostgresServer, name: str, **given: Any) -> Iterator[World]:
    made = World(postgres, f"{name}{os.getpid()}", **given)
    try:
        yield made
    finally:
        made.close()


def table(headers: list[str], rows: list[list[str]]) -> None:
    for line in (headers, ["---"] * len(headers), *rows):
        print("| " + " | ".join(line) + " |")
    print(flush=True)


@dataclass(frozen=True)
class Measured:
    """What was done in the middle of a run, and the CPU seconds of each part."""

    wall_s: float
    traces: int
    calls: int
    used: dict[str, float]

    @property
    def cores(self) -> float:
        return sum(self.used.values()) / self.wall_s


def measure(made: World, traces: int, *, timeout_s: float) -> Measured:
    """Wait until nearly all traces are recorded; return what was done since a fifth of them were.

    What starts and what ends is not the rate: workers import for seconds, and the last calls are few.
    """
    deadline = time.monotonic() + timeout_s
    first = last = None
    while time.monotonic() < deadline:
        found = (
            made.done() if made.database.execute("SELECT to_regclass('kaizen.entities') AS t")[0]["t"] else 0
        )
        if first is None and found >= traces // 5:
            first = (time.monotonic(), found, made.calls(), made.used())
        if first is not None and found >= traces * 9 // 10:
            last = (time.monotonic(), found, made.calls(), made.used())
            break
        time.sleep(0.25)
    if first is None or last is None:
        raise TimeoutError(f"only {made.done()} of {traces} traces were done")
    used = {name: last[3][name] - first[3][name] for name in last[3]}
    return Measured(last[0] - first[0], last[1] - first[1], last[2] - first[2], used)


def shares(used: dict[str, float], calls: float) -> str:
    return ", ".join(f"{name} {1000 * seconds / calls:.1f}" for name, seconds in used.items())


def by_workers(
    postgres: PostgresServer, counts: list[int], projects: int, traces: int, delay_s: float
) -> None:
    rows, alone = [], 0.0
    for count in counts:
        with world(
            postgres, f"w{count}", projects=projects, traces=traces // projects, delay_s=delay_s
        ) as made:
            made.schedule()
            for _ in range(count):
                made.start_worker(calls=32)
            done = measure(made, traces, timeout_s=120 + 3 * traces * delay_s / 32)
        rate = done.calls / done.wall_s
        alone = alone or rate / count
        rows.append(
            [
                str(count),
                f"{done.traces / done.wall_s:.1f}/s",
                f"{rate:.1f}/s",
                f"{100 * rate * delay_s / (32 * count):.0f}%",
                f"{rate / alone:.2f}",
                f"{done.cores:.2f}",
                shares(done.used, done.calls),
            ]
        )
    print(f"{projects} projects, {traces:,} traces, model latency {delay_s:g} s, 32 calls a worker:\n")
    headers = [
        "workers",
        "traces",
        "model calls",
        "of the bound",
        "of one worker",
        "cores used",
        "CPU ms a call",
    ]
    table(headers, rows)


def by_cores(
    postgres: PostgresServer, projects: int, traces: int, *, workers: int, calls: int, delay_s: float
) -> None:
    with world(postgres, "cores", projects=projects, traces=traces // projects, delay_s=delay_s) as made:
        made.schedule()
        for _ in range(workers):
            made.start_worker(calls=calls)
        done = measure(made, traces, timeout_s=300)
    rate = done.calls / done.wall_s
    print(f"{workers} workers, {calls} calls each, model latency {delay_s:g} s, {projects} projects:\n")
    bound = f"{100 * rate * delay_s / (calls * workers):.0f}%" if delay_s else ""
    table(
        ["model calls", "of the bound", "cores used", "CPU ms a call", "two full cores would do"],
        [
            [
                f"{rate:.1f}/s",
                bound,
                f"{done.cores:.2f}",
                shares(done.used, done.calls),
                f"{2 * done.calls / sum(done.used.values()):.0f}/s",
            ]
        ],
    )


def nothing_new(postgres: PostgresServer, projects: int) -> None:
    with world(postgres, "idle", projects=projects, traces=1, delay_s=0.0, kind="CHAIN") as made:
        made.schedule(every_s=3600.0)
        made.start_worker(calls=32)
        wait_for(lambda: made.database.execute("SELECT count(*) AS n FROM projects")[0]["n"] >= projects, 600)
        wait_for(lambda: not read_status(made.database).jobs_waiting, 60)
        before, requests = made.used(), phoenix_requests(made)
        made.schedule(every_s=3600.0)  # begins a round at once
        set_off = time.time()
        wait_for(lambda: rounds_after(made, set_off) >= projects, 300)
        wall_s = rounds_ended(made) - rounds_began(made, set_off)
        used = {name: seconds - before[name] for name, seconds in made.used().items()}
        asked = phoenix_requests(made) - requests
    print(f"A round over {projects:,} projects with nothing new, one worker:\n")
    table(
        ["requests a project", "time", "CPU ms a project"],
        [[f"{asked / projects:.2f}", f"{wall_s:.1f} s", shares(used, projects)]],
    )


def phoenix_requests(made: World) -> int:
    from urllib.request import urlopen

    with urlopen(f"http://127.0.0.1:{made.phoenix_port}/requests") as answer:  # it counts itself
        return int(json.load(answer)["requests"]) - 1


def rounds_after(made: World, at: float) -> int:
    sql = "SELECT count(*) AS n FROM projects WHERE updated_at > to_timestamp(%(at)s)"
    return int(made.database.execute(sql, {"at": at})[0]["n"])


def rounds_began(made: World, at: float) -> float:
    sql = "SELECT extract(epoch FROM greatest(last_at, to_timestamp(%(at)s)))::float AS t FROM schedules"
    return float(made.database.execute(sql, {"at": at})[0]["t"])


def rounds_ended(made: World) -> float:
    sql = "SELECT extract(epoch FROM max(updated_at))::float AS t FROM projects"
    return float(made.database.execute(sql)[0]["t"])


def wait_for(is_so: Any, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.25)


def limited(postgres: PostgresServer, per_minute: float, seconds: float) -> None:
    with world(postgres, "limit", projects=8, traces=1_000, delay_s=0.1, record=True) as made:
        set_limits(made.database, Limits(calls_per_minute=per_minute), "phoenix")
        made.schedule()
        for _ in range(4):
            made.start_worker(calls=16)
        wait_for(lambda: len(read_status(made.database).workers) == 4 and made.calls() > 0, 180)
        time.sleep(seconds)
        times = [json.loads(line)["at"] for line in made.requests.read_text().splitlines()]
    # As the model saw them, in the time that all workers were there.
    rate = 60 * sum(at > times[-1] - seconds for at in times) / seconds
    print("A limit on model calls, four workers:\n")
    table(
        ["limit", "kept", "of it"],
        [[f"{per_minute:g}/min", f"{rate:.0f}/min", f"{100 * rate / per_minute:.1f}%"]],
    )


def kills(postgres: PostgresServer, minutes: float, projects: int, traces: int) -> None:
    """Kill a worker every 20 s, restart Postgres once, take Phoenix away for a while; then compare."""
    with ExitStack() as stack:
        calm = stack.enter_context(
            world(postgres, "calm", projects=projects, traces=traces // projects, delay_s=0.5)
        )
        calm.schedule()
        calm.start_worker(calls=32)
        wait_for(lambda: settled(calm, traces), 600)
        calm.close()
        wild = stack.enter_context(
            world(postgres, "wild", projects=projects, traces=traces // projects, delay_s=0.5)
        )
        wild.schedule()
        for _ in range(3):
            wild.start_worker(calls=8)
        ends, killed = time.monotonic() + 60 * minutes, 0
        events = {2: lambda: restart(postgres), 4: wild.phoenix.kill, 7: lambda: back(wild)}
        while time.monotonic() < ends or not settled(wild, traces):
            time.sleep(20)
            events.get(killed, lambda: None)()
            wild.kill(wild.workers[killed % len(wild.workers)])
            killed += 1
            wild.start_worker(calls=8)
            assert time.monotonic() < ends + 900, f"only {wild.done()} of {traces} traces were done"
        same = snapshot(calm) == snapshot(wild)
        states = wild.states()
        calls = wild.calls(), calm.calls()
    print("Workers killed:\n")
    table(
        ["kills", "traces", "states", "model calls (one worker: )", "the store is one worker's"],
        [
            [
                str(killed),
                f"{traces:,}",
                str(dict(states)),
                f"{calls[0]} ({calls[1]})",
                "yes" if same else "NO",
            ]
        ],
    )
    assert same


def settled(made: World, traces: int) -> bool:
    try:
        return made.done() >= traces and not read_status(made.database).backlog_traces
    except Exception as error:  # Postgres is away for a while, or has no tables yet
        print(f"not yet: {error}".splitlines()[0], file=sys.stderr)
        return False


def restart(postgres: PostgresServer) -> None:
    postgres.pause()
    postgres.resume()


def back(made: World) -> None:
    made.phoenix.wait()
    program = (
        "benchmarks/replayed_phoenix.py",
        str(made.traces),
        made.kind,
        str(made.projects),
        made.phoenix_port,
    )
    made.phoenix, _ = made._served(*program)


def snapshot(made: World) -> dict[str, Any]:
    """What the store says but for ids, runs and times: states and tips of traces, evidence of tips."""
    said: dict[str, Any] = {}
    with open_store(StoreSettings.from_url(made.url)) as store:
        for namespace in store.list_namespaces():
            tips = {e.id: e.content for e in store.iterate(namespace.id, type="guideline")}
            assert len(set(tips.values())) == len(tips), "a tip is stored twice"
            for entity in store.iterate(namespace.id, type="trajectory"):
                metadata = entity.metadata
                named = sorted(tips[one] for one in metadata.get("tip_ids", ()))  # type: ignore[union-attr]
                said[f"{namespace.id}/{metadata['trace_id']}"] = (
                    metadata["state"],
                    metadata["digest"],
                    named,
                )
            evidence = Counter(
                tips[str(e.metadata["tip_id"])] for e in store.iterate(namespace.id, type="evidence")
            )
            said[namespace.id] = (sorted(tips.values()), sorted(evidence.items()))
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sections", nargs="*", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--projects", type=int, default=20)
    parser.add_argument("--traces", type=int, default=20_000)
    parser.add_argument("--latency", type=float, default=2.0)
    parser.add_argument("--idle-projects", type=int, default=1_000)
    parser.add_argument("--limit", type=float, default=600.0)
    parser.add_argument("--limit-seconds", type=float, default=120.0)
    parser.add_argument("--kill-minutes", type=float, default=5.0)
    parser.add_argument("--kill-traces", type=int, default=4_000)
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}.\n")
    postgres = PostgresServer().start()
    try:
        if "workers" in given.sections:
            by_workers(postgres, given.workers, given.projects, given.traces, given.latency)
        if "cores" in given.sections:
            traces = min(given.traces, 4_000)
            by_cores(postgres, given.projects, traces, workers=2, calls=16, delay_s=0.0)
            by_cores(postgres, given.projects, traces, workers=1, calls=64, delay_s=2.0)
        if "nothing-new" in given.sections:
            nothing_new(postgres, given.idle_projects)
        if "limit" in given.sections:
            limited(postgres, given.limit, given.limit_seconds)
        if "kills" in given.sections:
            kills(postgres, given.kill_minutes, given.projects, given.kill_traces)
    finally:
        postgres.stop()


if __name__ == "__main__":
    main()
