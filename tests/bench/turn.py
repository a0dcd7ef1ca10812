"""Where the microseconds of one worker go: the steps of its turns, in this process, under a stopwatch."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from projector.adapters.kafka import KafkaPublisher, KafkaSource
from projector.cache import CacheBounds
from projector.garbage import collected_rarely
from projector.life import Start
from projector.service import SWITCH_INTERVAL_S, WallClock, check, kafka_settings, store
from projector.worker import Worker
from projector.worker import World as Wiring
from tests.bench.results import Numbers, Result, Row
from tests.bench.stopwatch import Stopwatch

if TYPE_CHECKING:
    from tests.bench.options import Options
    from tests.bench.world import Pipeline, World

STEPS = {
    "projector.adapters.kafka.source:KafkaSource.poll": "poll",
    "projector.turn:read": "read: the rest",
    "projector.reading:decode": "read: decode",
    "projector.reading:attributes_too_large": "read: check attributes",
    "projector.reading:enrich": "read: enrich",
    "projector.reading:route": "read: route",
    "projector.drafting:Drafting.draft": "draft: the rest",
    "projector.adapters.redis:RedisStore.load": "draft: load",
    "projector.adapters.redis_records:Records.unpack": "draft: unpack tracks",
    "projector.drafting:fold": "draft: fold, the rest",
    "projector.track:evolve": "draft: evolve",
    "projector.drafting:settle": "draft: settle",
    "projector.crossing:fold_visits": "draft: fold visits",
    "projector.drafting:next_due": "draft: next deadline",
    "projector.adapters.redis:RedisStore.claim_short_ids": "draft: claim short ids",
    "projector.saving:Saving.save": "save: the rest",
    "projector.adapters.redis:RedisStore.save": "save: request and script",
    "projector.cache:encode_track": "draft: encode tracks",
    "projector.adapters.redis_records:Records.pack": "save: compress tracks",
    "projector.turn:Turn.run": "turn: the rest",
    "projector.telling:revision_of": "turn: revisions",
    "projector.adapters.redis:RedisStore.release_short_ids": "turn: release short ids",
    "projector.adapters.kafka.publisher:KafkaPublisher.publish": "publish: the rest",
    "projector.adapters.kafka.writing:packed": "publish: pack records",
    "projector.drafting:told_of": "draft: write snapshots",
    "kafka:KafkaProducer.send": "publish: send",
    "kafka:KafkaProducer.flush": "publish: flush",
    "kafka:KafkaProducer.send_offsets_to_transaction": "publish: offsets",
    "kafka:KafkaProducer.commit_transaction": "publish: commit",
}


def bench(world: World, options: Options) -> Result:
    topic = world.topic_with(options.work)
    watch = Stopwatch()
    with watch.on(STEPS):
        totals = _work(world.pipeline(topic), options.events)
    rows = [Row(step, [_numbers(watch, step, options.events)]) for step in STEPS.values() if watch.calls[step]]
    steps_us, thread_us = sum(row.median["cpu_us"] for row in rows), totals.pop("thread_cpu_us")
    rows.append(Row("all steps", [{"cpu_us": steps_us}]))
    rows.append(Row("the client's threads", [{"cpu_us": totals["cpu_us"] - thread_us}]))
    rows.append(Row("the stopwatch itself", [{"cpu_us": thread_us - steps_us}]))
    rows.append(Row("process", [totals]))
    return Result("turn", "where the time of one worker goes, µs an event", rows)


def _numbers(watch: Stopwatch, step: str, events: int) -> Numbers:
    return {
        "cpu_us": watch.cpu_s(step) / events * 1e6,
        "wall_us": watch.wall_s(step) / events * 1e6,
        "calls": watch.calls[step],
    }


def _work(pipeline: Pipeline, events: int) -> Numbers:
    """As a worker process does it; from when it reads until all is committed."""
    config, rules, settings = pipeline.config, pipeline.config.rules(), kafka_settings(pipeline.config)
    source = KafkaSource(settings)
    publisher = KafkaPublisher(settings, transactional_id=config.group_id, commit=source.commit)
    tracks = store(config, check(config))
    worker = Worker(
        Wiring(
            source,
            tracks,
            publisher,
            WallClock(),
            rules,
            Start(config.start, config.on_gap),
            CacheBounds(config.cache_tracks_max, config.cache_mb_max * 1_000_000),
        )
    )
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        with collected_rarely():
            while worker.life is None:
                worker.step()
            cpu, thread, wall, done, turns = time.process_time(), time.thread_time(), time.perf_counter(), 0, 0
            while done < events:
                step = worker.step()
                if step is not None and step.records:
                    done, turns = done + step.records, turns + 1
            cpu, thread, wall = time.process_time() - cpu, time.thread_time() - thread, time.perf_counter() - wall
    finally:
        sys.setswitchinterval(interval)
        source.close()
        publisher.close()
        tracks.close()
    us = 1e6 / events
    return {"cpu_us": cpu * us, "thread_cpu_us": thread * us, "wall_us": wall * us, "calls": turns}
