"""Which tracks take part in a turn: loaded into the worker's cache, and entered in the draft (design §3, step 2)."""

from collections.abc import Iterable

from projector.cache import Cached
from projector.draft import Draft
from projector.life import Life
from projector.ports import Store, Stored
from projector.route import TrackKey
from projector.rules import Rules
from projector.track import Track


class Taking:
    """Has tracks take part in the drafts of one life."""

    def __init__(self, life: Life, store: Store, rules: Rules) -> None:
        self._life, self._store, self._rules = life, store, rules

    def take(self, draft: Draft, keys: Iterable[TrackKey]) -> list[TrackKey]:
        """Have these take part, loaded where they are not in the cache; gives those that have to do with visits."""
        cache, touched = self._life.cache, draft.touched
        missing, peculiar = list[TrackKey](), list[TrackKey]()
        for key in keys:
            cached = cache.get(key)
            if cached is None:
                missing.append(key)
                continue
            cached.is_used = True
            touched[key] = cached
            track = cached.track
            if track.alias is not None or track.visits is not None:
                peculiar.append(key)
        if missing:
            self.load(missing)
            peculiar += self.take(draft, missing)
        return peculiar

    def join(self, draft: Draft, key: TrackKey) -> Track:
        """Have one take part that is loaded; what follows from it is to be worked out again."""
        cached = draft.touched.get(key)
        if cached is None:
            cached = draft.touched[key] = self._life.cache[key]
            cached.is_used = True
        draft.unsettled[key] = None
        return cached.track

    def load(self, keys: Iterable[TrackKey]) -> None:
        """Bring those of them into the cache that are not there."""
        cache = self._life.cache
        missing = [key for key in dict.fromkeys(keys) if key not in cache]
        if missing:
            for key, stored in self._store.load(missing).items():
                self.put(key, stored)

    def put(self, key: TrackKey, stored: Stored | None) -> None:
        """Take for true what is stored of it, whatever the cache has."""
        self._life.cache[key] = Cached(key, self._store.shard_of(key), stored, self._rules)

    def track(self, key: TrackKey) -> Track:
        return self._life.cache[key].track
