"""Step 7: deadlines that the end clock has passed (design §3).

A due track takes part in the next turn like one with records: it is loaded, brought to its end clock, saved, published
and committed. Only then is its deadline moved, with the turn after, and only if the track is still as it was published.
A track that was extended finds nothing to do but that.
"""

from collections.abc import Mapping

from projector.cache import UNWRITTEN
from projector.life import Life
from projector.ports import NO_CLOCK, Partition, Token
from projector.route import TrackKey
from projector.rules import Rules
from projector.session import Session, last_activity, type_of
from projector.track import SWEEP_SLACK, Due, Track, calls_of, is_swept

Moved = tuple[TrackKey, Token, Due, Due | None]


def is_to_publish(session: Session, fired: Due, rules: Rules) -> bool:
    """Whether a session ended by the deadline that fired, or after it.

    Its end may have been saved and not published before; what fires after the end is the sweep.
    """
    timeout = rules.timeout_of(type_of(session))
    return session.expired and timeout is not None and fired.at <= last_activity(session) + timeout


def dealt_with(
    life: Life, due: Mapping[TrackKey, Due], end_clocks: Mapping[Partition, int], rules: Rules, *, sweeps: bool
) -> tuple[list[Moved], list[tuple[TrackKey, Token]]]:
    """What is to be done about the deadlines of a committed turn: entries to move, and tracks to sweep.

    Without `sweeps` nothing is deleted: a replay shows every session. While a new life would read again what this one
    has read in silence, sweeps are put off: what is gone by then would begin anew, with a part of its records.
    """
    is_silent = any(mark.silent_from is not None for mark in life.marks.values())
    moved: list[Moved] = []
    swept: list[tuple[TrackKey, Token]] = []
    for key, fired in due.items():
        stored = life.cache.get(key)
        if stored is None or not stored.token:
            moved.append((key, UNWRITTEN, fired, None))
        elif is_swept(stored.track, _clock_of(life, fired.partition), rules):
            if not sweeps:
                moved.append((key, stored.token, fired, None))
            elif is_silent:
                later = Due(fired.partition, end_clocks.get(fired.partition, NO_CLOCK) + SWEEP_SLACK)
                moved.append((key, stored.token, fired, later))
            else:
                swept.append((key, stored.token))
        else:
            moved.append((key, stored.token, fired, _next(stored.track, fired, end_clocks, rules, sweeps=sweeps)))
    return moved, swept


def _clock_of(life: Life, partition: Partition) -> int:
    clock = life.marks[partition].clock
    return NO_CLOCK if clock is None else clock


def _next(track: Track, fired: Due, end_clocks: Mapping[Partition, int], rules: Rules, *, sweeps: bool) -> Due | None:
    keeper = track.home if track.home is not None else track.keeper
    if keeper != fired.partition:
        return None  # Its home has an entry of its own.
    clock = end_clocks.get(fired.partition, NO_CLOCK)
    calls = [at for at in calls_of(track, rules) if sweeps or at >= clock]
    if not calls:
        return None
    # The wall clock may be past a sweep that the partition clock has not reached: ask again an hour of it later.
    return Due(keeper, min(at if at >= clock else clock + SWEEP_SLACK for at in calls))
