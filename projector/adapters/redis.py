"""State in Redis: one string a track, one script a shard and turn (design §2 and §3).

Keys, under the namespace `ns`; their names are stored, so a change is a migration:
    ns:{shard}:t:<track>           12 bytes of token, then the encoded track
    ns:{shard}:due:<partition>     sorted set: track by the ms at which its deadline fires
    ns:{shard}:note:<partition>    set of tracks that the partition's owner is to publish
    ns:{shard}:pos                 hash: partition -> "offset clock"
    ns:origin                      hash: partition -> the offset at which the namespace began
    ns:meta                        hash: what the namespace was made for
    ns:short                       hash: short ids, see claim.lua
"""

import os
import random
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from hashlib import sha1
from importlib import resources
from itertools import chain
from typing import Any

import msgspec
import xxhash
from msgspec import Struct
from redis import exceptions

from projector.adapters.redis_server import READ_RETRIES, Client, RunIds, check_server, connect, place_of, translated
from projector.errors import Unavailable, WrongInput
from projector.ports import Conflict, Offset, Overtaken, Partition, Position, Saved, Stored, Token, Write
from projector.route import TrackKey
from projector.track import FORMAT, Due, NewerFormatError, Track, decode_track, encode_track

TOKEN_BYTES = 12
"""8 letters of chance for each life of a store, 4 that count its writes; save.lua knows the number too. They are ASCII
because Redis's msgpack knows texts only."""
LOAD_MAX = 4000
"""Tracks read by one command: some MB."""
CLUSTER_SHARDS = 48
"""A cluster's first number of shards: each is one slot, and so the least that can be moved between nodes."""
KEYS_FORMAT = "1"
"""Of the names and shapes of the keys above."""


class _Request(Struct):
    """What save.lua is asked to do; lists that it walks in steps are flat."""

    expected: list[int]
    """Partition, offset or -1."""
    seen: list[int]
    """Partition, offset: other workers' positions, which may not have gone down."""
    tokens: list[str]
    """Of all tracks that take part, those that are written first; empty: it is not there."""
    positions: list[int]
    """Partition, offset, clock."""
    due_gone: list[tuple[Partition, list[str]]]
    due_set: list[tuple[Partition, list[int | str]]]
    """By partition: ms, track, ms, track."""
    notes: list[tuple[Partition, list[str]]]
    clear_notes: list[int | str]
    """Partition, track, token."""
    move_due: list[tuple[Any, ...]]
    """Track, token, partition, ms, and where it goes: partition, ms."""
    sweep: list[str]
    """Track, token."""
    clocks: list[int]
    """Partition, end clock."""


class _Script:
    """A Lua script that the server may or may not know."""

    def __init__(self, name: str) -> None:
        self._text = resources.files("projector.adapters").joinpath("lua", name).read_bytes()
        self._sha = sha1(self._text, usedforsecurity=False).hexdigest()

    def run(self, client: Client, keys: Sequence[str], arguments: Iterable[str | bytes | int]) -> Any:
        given = (len(keys), *keys, *arguments)
        try:
            return client.execute_command("EVALSHA", self._sha, *given)
        except exceptions.NoScriptError:  # Then nothing was executed. EVAL also makes the server remember it.
            return client.execute_command("EVAL", self._text, *given)


class RedisStore:
    """The `Store` that runs on one Redis, or on a cluster. For one thread."""

    def __init__(
        self, url: str, namespace: str, *, shards: int, clustered: bool, options: Mapping[str, Any] | None = None
    ) -> None:
        self.shards = shards
        self._where = place_of(url)
        self._namespace = namespace
        self._run_ids = RunIds()
        with translated(self._where):  # A cluster's client asks for its nodes at once.
            self._reader = self._connect(url, clustered, READ_RETRIES, options)
            # A save that is sent twice looks like a second owner's.
            self._writer = self._connect(url, clustered, 0, options)
        self._seen: list[dict[Partition, Position]] = [{} for _ in range(shards)]
        self._life, self._writes = b64encode(os.urandom(6)), 0
        self._name = b64encode(os.urandom(6))
        """Who retires short ids."""
        self._save, self._claim = _Script("save.lua"), _Script("claim.lua")
        self._retire, self._release = _Script("retire.lua"), _Script("release.lua")

    def shard_of(self, key: TrackKey) -> int:
        """Stored: a change is a migration."""
        return xxhash.xxh3_64_intdigest(key.encode()) % self.shards if self.shards > 1 else 0

    def positions(self) -> list[dict[Partition, Position]]:
        """Begins a new life: what the store says from here on is compared with this."""
        self._run_ids.forget()
        with translated(self._where):
            stored = [self._reader.execute_command("HGETALL", self._key(shard, "pos")) for shard in range(self.shards)]
        self._seen = [_positions_of(_flat(one)) for one in stored]
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
        token = self._next_token()
        written = [(key, was, track) for key, was, track in write.tracks if track is not None]
        names = [key for key, _, _ in written]
        names += [key for key, _, track in write.tracks if track is None]
        request = self._request(shard, write)
        request.tokens = [_ascii(was) for _, was, _ in written]
        request.tokens += [_ascii(was) for _, was, track in write.tracks if track is None]
        prefix = self._key(shard, "t:")
        keys = [self._key(shard, "pos"), *[prefix + name for name in names]]
        records = [token + encode_track(track) for _, _, track in written]
        with translated(self._where, writing=True):
            what, stored, *more = self._save.run(self._writer, keys, [_encode(request), *records])
        positions = _positions_of(stored)
        if what == b"overtaken":
            return Overtaken(positions)
        if what == b"conflict":
            pairs = zip(more[0][::2], more[0][1::2], strict=True)
            return Conflict({names[at - 1]: self._stored(names[at - 1], record) for at, record in pairs})
        self._seen[shard] = positions
        return _saved(dict(positions), {key: token for key, _, _ in written}, *more)

    def _request(self, shard: int, write: Write) -> _Request:
        expected = write.expected
        return _Request(
            expected=[n for one, offset in expected.items() for n in (one, -1 if offset is None else offset)],
            seen=[n for one, at in self._seen[shard].items() if one not in expected for n in (one, at.offset)],
            tokens=[],
            positions=[n for one, at in write.positions.items() for n in (one, at.offset, at.clock)],
            due_gone=_grouped(
                (gone.partition, key)
                for key, gone, comes in write.due
                if gone is not None and (comes is None or comes.partition != gone.partition)
            ),
            due_set=_grouped(
                (comes.partition, part) for key, _, comes in write.due if comes is not None for part in (comes.at, key)
            ),
            notes=_grouped(write.notes),
            clear_notes=[part for one, key, token in write.clear_notes for part in (one, key, _ascii(token))],
            move_due=[
                (key, _ascii(token), *_both(fired), *(() if moved is None else _both(moved)))
                for key, token, fired, moved in write.move_due
            ],
            sweep=[part for key, token in write.sweep for part in (key, _ascii(token))],
            clocks=[n for one in write.clocks.items() for n in one],
        )

    def origins(self, proposed: Mapping[Partition, Offset]) -> dict[Partition, Offset]:
        key = f"{self._namespace}:origin"
        with translated(self._where):
            for partition, offset in proposed.items():
                self._reader.execute_command("HSETNX", key, partition, offset)
            stored = self._reader.execute_command("HMGET", key, *proposed) if proposed else []
        return {partition: int(offset) for partition, offset in zip(proposed, stored, strict=True)}

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

    def _give_back(self, script: _Script, held: Sequence[tuple[str, str]]) -> None:
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
        self._writer.close()

    def _connect(self, url: str, clustered: bool, retries: int, options: Mapping[str, Any] | None) -> Client:
        return connect(url, clustered=clustered, retries=retries, run_ids=self._run_ids, options=options)

    def _key(self, shard: int, rest: str) -> str:
        return f"{self._namespace}:{{{shard}}}:{rest}"

    def _next_token(self) -> Token:
        """One for all tracks of a write: tokens are compared track by track."""
        self._writes += 1
        if self._writes == 1 << 24:
            self._life, self._writes = b64encode(os.urandom(6)), 1
        return Token(self._life + b64encode(self._writes.to_bytes(3, "big")))

    def _stored(self, key: TrackKey, record: bytes | None) -> Stored | None:
        if record is None:
            return None
        try:
            return Stored(Token(record[:TOKEN_BYTES]), decode_track(record[TOKEN_BYTES:]))
        except (msgspec.MsgspecError, NewerFormatError, IndexError) as error:
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


def _ascii(token: Token | None) -> str:
    return "" if token is None else token.decode("ascii")


def _both(due: Due) -> tuple[Partition, int]:
    return due.partition, due.at


def _grouped(pairs: Iterable[tuple[Partition, Any]]) -> list[tuple[Partition, list[Any]]]:
    grouped: dict[Partition, list[Any]] = {}
    for partition, part in pairs:
        grouped.setdefault(partition, []).append(part)
    return list(grouped.items())


_encode = msgspec.msgpack.Encoder().encode


# Opening.


def open_store(
    url: str,
    namespace: str,
    *,
    identity: Mapping[str, str],
    shards: int | None = None,
    options: Mapping[str, Any] | None = None,
    adopt: bool = False,
) -> RedisStore:
    """The store of a namespace, made at its first start.

    `identity` says what the namespace is made for, as the ids of cluster and topic; it is recorded, and compared at
    each later start, unless `adopt` takes the namespace over. `shards` None: what is recorded, at the first start 1, on
    a cluster some dozens; a number must be the recorded one.

    Raises:
        WrongInput: the server is not fit, or the namespace was made for something else.
        Unavailable: Redis does not answer.
    """
    if not namespace or set("{}") & set(namespace):
        raise WrongInput(f"namespace {namespace!r}: expected a name without braces")
    facts = check_server(url, options)
    wanted = {"format": KEYS_FORMAT, "fold": str(FORMAT[0]), **identity}
    first_shards = shards or (CLUSTER_SHARDS if facts.clustered else 1)
    with (
        translated(facts.where, starting=True),
        closing(connect(url, clustered=facts.clustered, retries=READ_RETRIES, options=options)) as client,
    ):
        recorded = _recorded(client, f"{namespace}:meta", wanted | {"shards": str(first_shards)}, adopt=adopt)
    _compare(recorded, wanted | ({"shards": str(shards)} if shards else {}), namespace, facts.where)
    return RedisStore(url, namespace, shards=int(recorded["shards"]), clustered=facts.clustered, options=options)


def _recorded(client: Client, key: str, meta: dict[str, str], *, adopt: bool) -> dict[str, str]:
    """What is recorded, after recording what was not; workers that start together record the same."""
    for name, value in meta.items():
        fixed = name in ("format", "fold", "shards") or not adopt
        client.execute_command("HSETNX" if fixed else "HSET", key, name, value)
    return {name.decode(): value.decode() for name, value in client.execute_command("HGETALL", key).items()}


def _compare(recorded: dict[str, str], wanted: dict[str, str], namespace: str, where: str) -> None:
    wrong = [f"{name} {recorded[name]}, not {value}" for name, value in wanted.items() if recorded[name] != value]
    if not wrong:
        return
    raise WrongInput(
        f"namespace {namespace} in Redis at {where} was made for {'; '.join(wrong)}."
        "\nSet another namespace (it is filled from the log), or run what this one was made by"
    )
