"""What `make demo` shows at its end: some of the sessions, the ledger, and what to try next."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

SHOWN = 12


def main(argv: list[str]) -> int:
    """Reads what `projector replay` wrote into the folder that argv names."""
    folder = Path(argv[0])
    sessions = _lines(folder / "sessions.jsonl")
    console = Console()
    console.print(sessions_table(sessions))
    console.print(ledger_table(msgspec.json.decode((folder / "ledger.json").read_bytes())))
    console.print(_what_next(folder, sessions))
    return 0


def sessions_table(sessions: list[dict[str, Any]]) -> Table:
    """The busiest session of each type, then the busiest of all, in the order of their creation."""
    busiest = sorted(sessions, key=lambda session: -session["eventCount"])
    of_each_type = list({session["type"]: session for session in reversed(busiest)}.values())
    others = [session for session in busiest if session not in of_each_type]
    shown = sorted([*of_each_type, *others][:SHOWN], key=lambda session: session["createdDate"])
    counts = ", ".join(f"{count} {name}" for name, count in Counter(s["type"] for s in sessions).most_common())
    table = Table(title=f"{len(shown)} of {len(sessions)} sessions ({counts})", title_justify="left")
    for name in ("short", "type", "created", "lasted", "ended"):
        table.add_column(name, no_wrap=True)
    table.add_column("events", justify="right")
    table.add_column("last event", overflow="fold")
    table.add_column("what is known", overflow="fold")
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
        session.get("shortId", ""),
        session["type"],
        _clock(session["createdDate"]),
        str(timedelta(seconds=session["durationInSeconds"])),
        _clock(session["endedDate"]) if "endedDate" in session else "open",
        str(session["eventCount"]),
        session["lastEvent"]["eventName"],
        ", ".join(_known(session)),
    ]


def _known(session: dict[str, Any]) -> list[str]:
    """The facts of a session that say most about it, as few words each."""
    page, campaign = session.get("lastPage", {}), session.get("mktCampaign", {})
    place, browser = session.get("geolocation", {}), session.get("browser", {})
    facts = [page.get("pathname"), campaign.get("source") and f"from {campaign['source']}", place.get("countryName")]
    facts += [browser.get("family"), session.get("lastConnectedQueue") and "connected to a queue"]
    for name in ("searchTerms", "segmentAssignments", "outcomeAchievements", "attributes"):
        if found := session.get(name):
            facts.append(f"{len(found)} {_WORDS[name][len(found) > 1]}")
    return [fact for fact in facts if fact]


_WORDS = {
    "searchTerms": ("search", "searches"),
    "segmentAssignments": ("segment", "segments"),
    "outcomeAchievements": ("outcome", "outcomes"),
    "attributes": ("attribute", "attributes"),
}


def _clock(date: str) -> str:
    return date[5:16].replace("T", " ")


def _lines(path: Path) -> list[dict[str, Any]]:
    return msgspec.json.Decoder(dict[str, Any]).decode_lines(path.read_bytes())


def _what_next(folder: Path, sessions: list[dict[str, Any]]) -> str:
    example = max(sessions, key=lambda session: session["eventCount"])["id"]
    return f"""
Every session is in {folder}/sessions.jsonl, every record that could not be folded in {folder}/rejects.jsonl.

Try next:
  grep {example} {folder}/sessions.jsonl | python3 -m json.tool
  .venv/bin/projector replay {folder}/events.jsonl --every-change | head
  .venv/bin/projector --help
  make up          the same with a real Kafka and a real Redis, and journeys that flow
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
