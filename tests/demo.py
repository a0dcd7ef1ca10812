"""What `make demo` shows at its end: some of the sessions, the ledger, and what to try next."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

SHOWN = 12


def main(argv: list[str]) -> int:
    """Reads what `projector replay` wrote into the folder that argv names."""
    folder = Path(argv[0])
    sessions = _lines(folder / "sessions.jsonl")
    console = Console()
    console.print(sessions_table(sessions))
    counts = Counter(session["type"] for session in sessions).most_common()
    console.print(f"\nIn all: {', '.join(f'{count} {name}' for name, count in counts)}.\n", highlight=False)
    console.print(ledger_table(msgspec.json.decode((folder / "ledger.json").read_bytes())))
    print(_what_next(folder, sessions))
    return 0


def sessions_table(sessions: list[dict[str, Any]]) -> Table:
    """The busiest session of each type, then the busiest of all, in the order of their creation; 80 columns wide."""
    busiest = sorted(sessions, key=lambda session: -session["eventCount"])
    of_each_type = list({session["type"]: session for session in reversed(busiest)}.values())
    others = [session for session in busiest if session not in of_each_type]
    shown = sorted([*of_each_type, *others][:SHOWN], key=lambda session: session["createdDate"])
    table = Table(
        title=f"{len(shown)} of {len(sessions)} sessions",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in ("started", "type", "lasted", "events", "last page or event", "ended"):
        table.add_column(name, no_wrap=True, justify="right" if name in ("lasted", "events") else "left")
    for session in shown:
        table.add_row(*_row(session))
    return table


def ledger_table(ledger: dict[str, Any]) -> Table:
    """Every record that was read, by what became of it: the numbers below the first add up to it."""
    table = Table(title="The ledger", title_justify="left", show_header=False)
    table.add_column(justify="right")
    table.add_column()
    table.add_row(str(ledger["read"]), "records read", style="bold")
    for name in ("folded", "duplicates", "redelivered", "tombstones"):
        table.add_row(str(ledger[name]), name)
    for reason, count in ledger["rejected"].items():
        table.add_row(str(count), f"rejected: {reason}")
    return table


def _row(session: dict[str, Any]) -> list[str]:
    return [
        _clock(session["createdDate"]),
        session["type"],
        _lasted(session["durationInSeconds"]),
        str(session["eventCount"]),
        session.get("lastPage", {}).get("pathname") or session["lastEvent"]["eventName"],
        _clock(session["endedDate"]) if "endedDate" in session else "open",
    ]


def _lasted(seconds: int) -> str:
    """The two greatest units: `2d 4h`, `3h 12m`, `5m 40s`, `40s`."""
    parts = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    first = next((at for at, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count}{unit}" for count, unit in parts[first : first + 2])


def _clock(date: str) -> str:
    return date[5:16].replace("T", " ")


def _lines(path: Path) -> list[dict[str, Any]]:
    return msgspec.json.Decoder(dict[str, Any]).decode_lines(path.read_bytes())


def _what_next(folder: Path, sessions: list[dict[str, Any]]) -> str:
    example = max(sessions, key=lambda session: session["eventCount"])["id"][:8]
    return f"""
Every session is in {folder}/sessions.jsonl,
every record that could not be folded in {folder}/rejects.jsonl.

Try next:
  grep {example} {folder}/sessions.jsonl | python3 -m json.tool
  .venv/bin/projector replay {folder}/events.jsonl --every-change | head
  .venv/bin/projector --help
  make up      the same with a real Kafka and Redis, and journeys that flow
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
