"""The command line as a test uses it: a process of its own, its output, its exit code."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

TIMEOUT_S = 120


def command(*words: str) -> list[str]:
    return [sys.executable, "-c", "from projector.cli import main; main()", *words]


def environment_of(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's, with these settings and no others."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PROJECTOR_")}
    return {**own, "COLUMNS": "200", **(settings or {})}


def projector(
    *words: str,
    code: int = 0,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end; it has to give the exit code."""
    done = subprocess.run(
        command(*words),
        cwd=cwd,
        env=environment_of(environment),
        input=stdin or b"",
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == code, done.stderr.decode(errors="replace")
    return done
