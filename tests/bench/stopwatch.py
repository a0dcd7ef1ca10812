"""A stopwatch for steps that call each other: time counts for the innermost step that runs.

Law: what the stopwatch itself costs is measured and taken off, half from a step and half from its caller.
"""

from __future__ import annotations

import functools
import importlib
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_TRIALS = 20_000


class Stopwatch:
    """Of one thread. CPU is that of the thread alone."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._cpu_ns: Counter[str] = Counter()
        self._wall_ns: Counter[str] = Counter()
        self._from: Counter[str] = Counter()
        """Step → calls that it made of other steps."""
        self._running: list[str] = []
        self._cpu_at = self._wall_at = 0

    def wrapped(self, step: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def timed(*given: Any, **named: Any) -> Any:
            self._change()
            if self._running:
                self._from[self._running[-1]] += 1
            self._running.append(step)
            try:
                return call(*given, **named)
            finally:
                self._change()
                self._running.pop()
                self.calls[step] += 1

        return timed

    @contextmanager
    def on(self, steps: Mapping[str, str]) -> Iterator[None]:
        """Where a thing is looked up (`package.module:name` or `…:class.name`) → its step; gone things are left out."""
        with ExitStack() as patches:
            for place, step in steps.items():
                module, _, name = place.partition(":")
                owner: Any = importlib.import_module(module)
                *path, name = name.split(".")
                for part in path:
                    owner = getattr(owner, part, None)
                if hasattr(owner, name):
                    patches.enter_context(patch.object(owner, name, self.wrapped(step, getattr(owner, name))))
            yield

    def cpu_s(self, step: str) -> float:
        return (self._cpu_ns[step] - self._own_ns(step) * self._cost_ns[0]) / 1e9

    def wall_s(self, step: str) -> float:
        return (self._wall_ns[step] - self._own_ns(step) * self._cost_ns[1]) / 1e9

    def _own_ns(self, step: str) -> float:
        return (self.calls[step] + self._from[step]) / 2

    @functools.cached_property
    def _cost_ns(self) -> tuple[float, float]:
        """What one call costs that does nothing: CPU, wall."""
        trial = Stopwatch()
        nothing = trial.wrapped("trial", lambda: None)
        cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
        for _ in range(_TRIALS):
            nothing()
        return (time.thread_time_ns() - cpu) / _TRIALS, (time.perf_counter_ns() - wall) / _TRIALS

    def _change(self) -> None:
        cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
        if self._running:
            self._cpu_ns[self._running[-1]] += cpu - self._cpu_at
            self._wall_ns[self._running[-1]] += wall - self._wall_at
        self._cpu_at, self._wall_at = cpu, wall
