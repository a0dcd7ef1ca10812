"""What is private leaves the process nowhere: topics, rejects, Redis, commits and logs are searched for planted secrets."""

from __future__ import annotations

import json
import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from projector.adapters.redis_check import check_server
from projector.adapters.redis_server import connect
from tests import cli

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.end_to_end.pipeline import Pipeline

IP, AGENT = "203.0.113.77", "HushBrowser/77.7 (hush-agent)"
SECRETS = [IP, "hush", "Hush"]
KEY = "a key for the tests of hashes"
PRIVACY = {
    "PROJECTOR_PRIVACY_IP_ADDRESS": "hash",
    "PROJECTOR_PRIVACY_USER_AGENT": "drop",
    "PROJECTOR_PRIVACY_ATTRIBUTES_DROP": "*card*",
    "PROJECTOR_PRIVACY_ATTRIBUTES_HASH": "email",
    "PROJECTOR_PRIVACY_QUERY_DENY": "token,utm_*,q",
    "PROJECTOR_PRIVACY_KEY": KEY,
}


def event(number: int, **more: Any) -> dict[str, Any]:
    page = {"url": "https://www.example.org/?token=hush1&utm_source=hush2&q=hush3&ok=1#a?token=hush4"}
    payload = {
        "eventName": "page_viewed",
        "page": page,
        "referrerUrl": "https://other.example.net/?q=hush5&token=hush6",
        "ipAddress": IP,
        "userAgentString": AGENT,
        "attributes": {"credit_card": "hush7", "email": "hush8@example.com", "sku": "B-17"},
        **more,
    }
    envelope = {"id": f"e-{number}", "eventType": "WebEvent", "createdDate": "2025-06-12T09:00:00Z"}
    return {**envelope, "customerId": f"c-{number % 3}", "customerIdType": "cookie", "webEvent": payload}


def log() -> list[tuple[str, bytes]]:
    good = [event(number) for number in range(6)]
    custom = {"eventName": "paid", "externalId": "P-1", "externalUrl": "https://pay.example/?token=hush9"}
    custom["attributes"] = {"card_number": "hush10"}  # type: ignore[assignment]
    paid = {**event(6), "eventType": "CustomEvent", "session": {"type": "order"}, "customEvent": custom}
    del paid["webEvent"]
    bad = [event(7, attributes={"sizes": ["hush11"]}), {**event(8), "createdDate": "hush12"}, {"hush13": 1}]
    records = [(f"k{number}", json.dumps(one).encode()) for number, one in enumerate([*good, paid, *bad])]
    return [*records, ("hush-key", b'{"hush14')]


def test_no_planted_secret_leaves_the_service(new_pipeline: Callable[..., Pipeline], redis_url: str) -> None:
    pipeline = new_pipeline(**{name.removeprefix("PROJECTOR_").lower(): value for name, value in PRIVACY.items()})
    pipeline.feed(log())

    done = pipeline.run("--workers", "2")

    snapshots, rejects = pipeline.published(), pipeline.rejected()
    assert len(snapshots) >= 4
    assert len(rejects) == 4
    out = [repr(message).encode() for message in (*snapshots, *rejects)]
    out += [done.stdout, done.stderr, repr(pipeline.marks()).encode(), *dump(redis_url, pipeline.config.namespace)]
    assert_clean(b"\n".join(out))


def test_no_planted_secret_leaves_a_replay(tmp_path: Path) -> None:
    lines = tmp_path / "log.jsonl"
    lines.write_bytes(b"\n".join(value for _, value in log()))
    files = [str(tmp_path / name) for name in ("out", "rejects", "ledger")]

    words = ["--every-change", "--output", files[0], "--rejects", files[1], "--ledger", files[2]]
    done = cli.projector("replay", str(lines), *words, environment=PRIVACY)

    assert_clean(
        b"\n".join([done.stdout, done.stderr, *((tmp_path / name).read_bytes() for name in ("out", "rejects"))])
    )


def test_equal_values_keep_equal_hashes_and_nothing_else_is_lost(tmp_path: Path) -> None:
    lines = tmp_path / "log.jsonl"
    lines.write_bytes(b"\n".join(value for _, value in log()[:6]))

    done = cli.projector("replay", str(lines), environment=PRIVACY)

    sessions = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({session["ipAddress"] for session in sessions}) == 1
    assert {session["attributes"]["sku"]["value"] for session in sessions} == {"B-17"}
    assert {session["lastPage"]["queryString"] for session in sessions} == {"ok=1"}


def dump(url: str, namespace: str) -> list[bytes]:
    """All that a namespace holds, as it was written; `DUMP` would compress it."""
    read = {b"string": "GET {}", b"hash": "HGETALL {}", b"zset": "ZRANGE {} 0 -1", b"set": "SMEMBERS {}"}
    with closing(connect(url, clustered=check_server(url).clustered, retries=0)) as client:
        keys = list(client.scan_iter(match=f"{namespace}*"))
        commands = [read[client.execute_command("TYPE", key)].split() for key in keys]
        held = [
            client.execute_command(*(key if word == "{}" else word for word in words))
            for key, words in zip(keys, commands, strict=True)
        ]
    assert any(b"sku" in repr(value).encode() for value in held)
    return [*keys, *(repr(value).encode() for value in held)]


def assert_clean(text: bytes) -> None:
    found = [secret for secret in SECRETS if secret.encode() in text]
    assert not found, [text[max(0, text.index(one.encode()) - 80) :][:200] for one in found]


def test_the_search_would_find_a_secret() -> None:
    with pytest.raises(AssertionError):
        assert_clean(os.fsencode(IP))
