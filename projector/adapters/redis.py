"""State in Redis: one string a track, one script a shard and turn (design §2 and §3).

Keys, under the namespace `ns`; their names are stored, so a change is a migration:
    ns:{shard}:t:<track>           12 bytes of token, then the track, see redis_records.py
    ns:{shard}:due:<partition>     sorted set: track by the ms at which its deadline fires
    ns:{shard}:note:<partition>    sorted set: tracks that the partition's owner is to publish, by number
    ns:{shard}:noted               hash: partition -> the number of the newest note that was left for its owner
    ns:{shard}:pos                 hash: partition -> "offset clock"
    ns:{shard}:by                  token of the last save that wrote or removed a track
    ns:origin                      hash: partition -> the offset at which the namespace began
    ns:meta                        hash: what the namespace was made for
    ns:short                       hash: short ids, see claim.lua
"""

import os
import random
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from typing import Any

import xxhash

from projector.adapters.redis_check import check_server
from projector.adapters.redis_confirmed import CONFIRMED_MAX, Confirmed
from projector.adapters.redis_namespace import SHARDS, compare, record, recorded_in
from projector.adapters.redis_place import place_of
from projector.adapters.redis_records import Records, UnreadableRecordError
from projector.adapters.redis_request import Request, encode, further_keys, request_of
from projector.adapters.redis_server import READ_RETRIES, Client, RunIds, begin_anew, connect, translated
from projector.adapters.redis_writer import NO_WAIT, Script, Wait, Writer, with_wait
from projector.errors import Unavailable, WrongInput
from projector.ports import Conflict, Offset, Overtaken, Partition, Position, Saved, Stored, Token, Write
from projector.route import TrackKey
from projector.track import FORMAT, Due, Track

LOAD_MAX = 4000
"""Tracks read by one command: some MB."""
CLUSTER_SHARDS = 48
"""A cluster's first number of shards: each is one slot, and so the least that can be moved between nodes."""
KEYS_FORMAT = "2"
"""Of the names and shapes of the keys above."""


class RedisStore:
    """The `Store` that runs on one Redis, or on a cluster. For one thread."""

    def __init__(
        self,
        url: str,
        namespace: str,
        *,
        shards: int,
        clustered: bool,
        options: Mapping[str, Any] | None = None,
        wait: Wait = NO_WAIT,
        meta: Mapping[str, str] | None = None,
    ) -> None:
        """`meta`: what the namespace has to be recorded for, which each new life looks at; without it none does."""
        self.shards = shards
        self._meta = meta
        self._clustered = clustered
        self._where = place_of(url)
        self._namespace = namespace
        self._run_ids = RunIds()
        with translated(self._where):  # A cluster's client asks for its nodes at once.
            self._reader = self._connect(url, clustered, READ_RETRIES, options)
            # A save that is sent twice looks like a second owner's.
            self._writer = Writer(self._connect(url, clustered, 0, with_wait(options, wait)), self._where, wait)
        self._seen: list[dict[Partition, Position]] = [{} for _ in range(shards)]
        self._confirmed = self._none_confirmed()
        self._records = Records()
        self._life, self._writes = b64encode(os.urandom(6)), 0
        """Letters of chance for each life of a store, and what counts its writes: together they make a token."""
        self._name = b64encode(os.urandom(6))
        """Who retires short ids."""
        self._save, self._claim = Script("save.lua"), Script("claim.lua")
        self._retire, self._release = Script("retire.lua"), Script("release.lua")

    def shard_of(self, key: TrackKey) -> int:
        """Stored: a change is a migration."""
        return xxhash.xxh3_64_intdigest(key.encode()) % self.shards if self.shards > 1 else 0

    def positions(self) -> list[dict[Partition, Position]]:
        """Begins a new life: what the store says from here on is compared with this."""
        self._run_ids.forget()
        with translated(self._where):
            # A connection that is kept would not be compared with whom the new life finds.
            begin_anew(self._writer.client)
            begin_anew(self._reader)
            if self._meta is not None:  # A store that was wiped is ours again; somebody else's is none of ours.
                record(self._reader, self._namespace, self._meta, self._where)
            stored = [self._reader.execute_command("HGETALL", self._key(shard, "pos")) for shard in range(self.shards)]
        self._seen = [_positions_of(_flat(one)) for one in stored]
        self._confirmed = self._none_confirmed()
        return [dict(one) for one in self._seen]

    def load(self, keys: Sequence[TrackKey]) -> dict[TrackKey, Stored | None]:
        by_shard: dict[int, list[TrackKey]] = {}
        for key in keys:
            by_shard.setdefault(self.shard_of(key), []).append(key)
        loaded: dict[TrackKey, Stored | None] = {}
        for shard, wanted in by_shard.items():
            prefix = self._key(shard, "t:")
            for first in range(0, len(wanted), LOAD_MAX):
                some = wanted[first : first + LOAD_MAX]
                with translated(self._where):
                    records = self._reader.execute_command("MGET", *[prefix + key for key in some])
                loaded.update((key, self._stored(key, record)) for key, record in zip(some, records, strict=True))
        return loaded

    def save(self, shard: int, write: Write) -> Saved | Conflict | Overtaken:
        token, confirmed = self._next_token(), self._confirmed[shard]
        written = [(key, was) for key, was, record in write.tracks if record is not None]
        tracks = written + [(key, was) for key, was, record in write.tracks if record is None]
        records = self._records.pack([record for _, _, record in write.tracks if record is not None], token)
        request = request_of(write, token, tracks, confirmed, self._seen[shard])
        answer = self._run_save(shard, request, [key for key, _ in tracks], records)
        what, positions = answer[0], _positions_of(answer[1])
        if what == b"overtaken":
            return Overtaken(positions)
        if what == b"conflict":
            pairs = zip(answer[2][::2], answer[2][1::2], strict=True)
            return Conflict({tracks[at - 1][0]: self._stored(tracks[at - 1][0], record) for at, record in pairs})
        _, _, by, same, notes, due, waiting = answer
        self._seen[shard] = positions
        saved = _saved(dict(positions), dict.fromkeys([key for key, _ in written], token), notes, due)
        saved.waiting = {int(one): (int(oldest), int(newest)) for one, oldest, newest in _threes(waiting)}
        compared = {key: was for key, was in tracks[len(written) :] if was is not None}
        gone = [key for key, _ in write.sweep]
        confirmed.accept(by.decode(), saved.tokens | compared, gone, same=bool(same))
        return saved

    def _run_save(self, shard: int, request: Request, names: Sequence[TrackKey], records: Sequence[bytes]) -> Any:
        """The script's answer; `names` are the tracks that take part, first those that the records are of."""
        prefix = self._key(shard, "t:")
        keys = [prefix + name for name in names]
        arguments: list[str | bytes] = [encode(request)]
        for key_and_record in zip(keys, records, strict=False):
            arguments += key_and_record
        arguments += keys[len(records) :]
        declared = [self._key(shard, "pos")]
        if self._clustered:
            declared += keys + further_keys(request, self._key(shard, ""))
        with translated(self._where, writing=True):
            return self._writer.run(self._save, declared, arguments)

    def origins(self, proposed: Mapping[Partition, Offset]) -> dict[Partition, Offset]:
        key = f"{self._namespace}:origin"
        with translated(self._where):
            for partition, offset in proposed.items():
                self._reader.execute_command("HSETNX", key, partition, offset)
            stored = self._reader.execute_command("HMGET", key, *proposed) if proposed else []
        return {partition: int(offset) for partition, offset in zip(proposed, stored, strict=True)}

    def origins_recorded(self) -> dict[Partition, Offset]:
        with translated(self._where):
            stored = self._reader.execute_command("HGETALL", f"{self._namespace}:origin")
        return {int(partition): int(offset) for partition, offset in stored.items()}

    def claim_short_ids(self, wanted: Sequence[tuple[str, str | None]], digits: int) -> list[str | None]:
        asked = [part for session_id, had in wanted for part in (session_id, had or "")]
        start = random.randrange(10**digits)  # noqa: S311 - nothing is kept secret by it
        with translated(self._where):
            claimed = self._claim.run(self._reader, [f"{self._namespace}:short"], [digits, start, *asked])
        return [found.decode() or None for found in claimed]

    def retire_short_ids(self, held: Sequence[tuple[str, str]]) -> None:
        self._give_back(self._retire, held)

    def release_short_ids(self, held: Sequence[tuple[str, str]]) -> None:
        self._give_back(self._release, held)

    def _give_back(self, script: Script, held: Sequence[tuple[str, str]]) -> None:
        if held:
            with translated(self._where):
                script.run(self._reader, [f"{self._namespace}:short"], [self._name, *chain.from_iterable(held)])

    def holder_of(self, short_id: str) -> str | None:
        """The id of the session that has a short id."""
        with translated(self._where):
            found = self._reader.execute_command("HGET", f"{self._namespace}:short", short_id)
        return None if found is None else found.decode()

    def short_ids_taken(self) -> int:
        with translated(self._where):
            return int(self._reader.execute_command("HLEN", f"{self._namespace}:short")) // 2

    def sessions(self) -> Iterator[tuple[TrackKey, Track]]:
        """All tracks, in no order; one that is written meanwhile may come in either state, or twice."""
        head = f"{self._namespace}:{{"
        pattern = "".join("\\" + sign if sign in "\\*?[]^" else sign for sign in head) + "*}:t:*"
        with translated(self._where):
            found = self._reader.scan_iter(match=pattern, count=1000)
            while some := [key for _, key in zip(range(1000), found, strict=False)]:
                tracks = [TrackKey(key.decode().removeprefix(head).partition("}:t:")[2]) for key in some]
                loaded = self.load(tracks)
                yield from ((key, stored.track) for key, stored in loaded.items() if stored is not None)

    def close(self) -> None:
        self._reader.close()
        self._writer.client.close()

    def _connect(self, url: str, clustered: bool, retries: int, options: Mapping[str, Any] | None) -> Client:
        return connect(url, clustered=clustered, retries=retries, run_ids=self._run_ids, options=options)

    def _key(self, shard: int, rest: str) -> str:
        return f"{self._namespace}:{{{shard}}}:{rest}"

    def _none_confirmed(self) -> list[Confirmed]:
        return [Confirmed(CONFIRMED_MAX // self.shards) for _ in range(self.shards)]

    def _next_token(self) -> Token:
        """One for all tracks of a write: tokens are compared track by track.

        8 letters of the life's, 4 that count: ASCII, because Redis's msgpack knows texts only.
        """
        self._writes += 1
        if self._writes == 1 << 24:
            self._life, self._writes = b64encode(os.urandom(6)), 1
        return Token(self._life + b64encode(self._writes.to_bytes(3, "big")))

    def _stored(self, key: TrackKey, record: bytes | None) -> Stored | None:
        if record is None:
            return None
        try:
            return self._records.unpack(record)
        except UnreadableRecordError as error:
            raise Unavailable(
                f"{key} in namespace {self._namespace} of Redis at {self._where} cannot be read: {error}"
                "\nRun the version of the projector that wrote it, or rebuild the state from the log"
            ) from error


def _positions_of(flat: Sequence[bytes]) -> dict[Partition, Position]:
    positions = {}
    for partition, at in zip(flat[::2], flat[1::2], strict=True):
        offset, _, clock = at.partition(b" ")
        positions[int(partition)] = Position(int(offset), int(clock))
    return positions


def _flat(stored: Mapping[bytes, bytes]) -> list[bytes]:
    return [part for pair in stored.items() for part in pair]


def _threes(flat: Sequence[Any]) -> Iterator[tuple[Any, Any, Any]]:
    return zip(flat[::3], flat[1::3], flat[2::3], strict=True)


def _saved(
    positions: dict[Partition, Position], tokens: dict[TrackKey, Token], notes: list[Any], due: list[Any]
) -> Saved:
    noted = {TrackKey(key.decode()): int(partition) for partition, keys in notes for key in keys}
    fired = {
        TrackKey(key.decode()): Due(int(partition), int(at))
        for partition, entries in due
        for key, at in zip(entries[::2], entries[1::2], strict=True)
    }
    return Saved(positions, tokens, noted, fired)


# Opening.


def open_store(
    url: str,
    namespace: str,
    *,
    identity: Mapping[str, str],
    shards: int | None = None,
    options: Mapping[str, Any] | None = None,
    wait: Wait = NO_WAIT,
    records: bool = True,
) -> RedisStore:
    """The store of a namespace, made at its first start.

    `identity` says what the namespace is made for, as the ids of cluster and topic; it is recorded, and compared at
    each later start. `shards` None: what is recorded, at the first start 1, on a cluster some dozens; a number must be
    the recorded one. `wait`: replicas that must have each write. Without `records` nothing is written, to look only.

    Raises:
        WrongInput: the server is not fit, or the namespace was made for something else.
        Unavailable: Redis does not answer.
    """
    if not namespace or set("{}") & set(namespace):
        raise WrongInput(f"namespace {namespace!r}: expected a name without braces")
    facts = check_server(url, options)
    wanted = {"format": KEYS_FORMAT, "fold": str(FORMAT[0]), **identity}
    with (
        translated(facts.where, starting=True),
        closing(connect(url, clustered=facts.clustered, retries=READ_RETRIES, options=options)) as client,
    ):
        recorded = recorded_in(client, namespace)
        meta = wanted | {SHARDS: str(shards or recorded.get(SHARDS, CLUSTER_SHARDS if facts.clustered else 1))}
        compare(recorded, meta, namespace, facts.where)
        if records:
            meta = wanted | {SHARDS: record(client, namespace, meta, facts.where)[SHARDS]}
    return RedisStore(
        url,
        namespace,
        shards=int(meta[SHARDS]),
        clustered=facts.clustered,
        options=options,
        wait=wait,
        meta=meta if records else None,
    )
