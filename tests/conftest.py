"""Fixtures that every test may use: real Kafka and Redis, names of one's own, and an environment without settings.

Law: no test is skipped for a missing service; it fails with one line that says what to install.
A run in several processes starts the shared services once, before the first of them, and hands on their addresses.
"""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import structlog

from tests.services.disk import SmallDisk
from tests.services.kafka import Kafka
from tests.services.process import ServiceError
from tests.services.proxy import Proxies
from tests.services.redis import RedisServer
from tests.services.redis_groups import RedisCluster, RedisSentinel
from tests.services.run import Run, new_home, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.services.topics import Topics

_RUN = pytest.StashKey[Run]()
_SHARED = pytest.StashKey[dict[str, str]]()  # In a process of a parallel run: what its starter handed on.
_NEEDS_SERVICES = {
    "kafka",
    "redis_url",
    "breakable_kafka",
    "kafka_cluster",
    "proxied_kafka",
    "new_redis",
    "redis_cluster",
    "redis_sentinel",
    "proxies",
    "services_home",
}


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """What a test sets up of the log goes with it: it may write to a file that is closed then."""
    yield
    structlog.reset_defaults()


# ---- the run ------------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    # How long an example takes on a busy machine is no promise of any test.
    # The same examples in every run: what is green stays green. New ones: --hypothesis-profile=default.
    hypothesis.settings.register_profile("projector", deadline=None, derandomize=True)
    hypothesis.settings.load_profile("projector")
    config.addinivalue_line("markers", "services: needs a broker or a Redis; set for every test that asks for one")
    # kafka-python reads its schemas in a way that Python 3.11 and 3.12 warn of, and 3.13 no longer does.
    config.addinivalue_line("filterwarnings", "ignore:(open|read)_text is deprecated:DeprecationWarning")
    # A setting in the developer's environment is not to change what a test sees.
    given = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PROJECTOR_")}
    if hasattr(config, "workerinput"):
        config.stash[_SHARED] = config.workerinput["services"]
    else:
        config.stash[_RUN] = Run(given)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    run = node.config.stash[_RUN]
    try:
        shared = {"home": str(run.home), "kafka": run.kafka_bootstrap, "redis": run.redis_url, "delivery": run.delivery}
    except ServiceError as error:
        pytest.exit(str(error), returncode=1)
    node.workerinput["services"] = shared


def pytest_unconfigure(config: pytest.Config) -> None:
    if _RUN in config.stash:
        config.stash[_RUN].close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _NEEDS_SERVICES & set(getattr(item, "fixturenames", ())):
            item.add_marker("services")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failure: nothing that should have been shown goes unshown."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        reporter.ensure_newline()
        reporter.write_line("Tests were skipped, which counts as failure in CI.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


# ---- services that tests share ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config) -> Topics:
    """The shared broker: use topics of your own (`unique_name`) and leave it running."""
    from tests.services.topics import Topics  # Here, where the filter above is in force.

    return Topics(_shared(pytestconfig, "kafka"))


@pytest.fixture(scope="session")
def redis_url(pytestconfig: pytest.Config) -> str:
    """The shared Redis: use a namespace of your own (`unique_name`) and leave it running."""
    return _shared(pytestconfig, "redis")


@pytest.fixture(scope="session")
def delivery(pytestconfig: pytest.Config) -> str:
    """How the pipelines of the end-to-end suite deliver where a test does not say."""
    stash = pytestconfig.stash
    return stash[_SHARED]["delivery"] if _SHARED in stash else stash[_RUN].delivery


@pytest.fixture
def unique_name(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Gives a name that no other test has, for a topic, group or namespace: the stem, the test, a bit of chance."""
    test = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name)[:60].strip("-")
    return lambda stem: f"{stem}-{test}-{uuid.uuid4().hex[:8]}"


# ---- services that a test may break -------------------------------------------------------------------------------


@pytest.fixture
def breakable_kafka(_breakable_kafka: Kafka) -> Iterator[Kafka]:
    """A broker that this test may stop, kill and pause; it runs at the start, and again for the next test."""
    _breakable_kafka.start()
    yield _breakable_kafka
    _set_going(_breakable_kafka)


@pytest.fixture
def kafka_cluster(_kafka_cluster: Kafka) -> Iterator[Kafka]:
    """Three brokers, likewise."""
    _kafka_cluster.start()
    yield _kafka_cluster
    _set_going(_kafka_cluster)


@pytest.fixture(scope="module")
def proxied_kafka(services_home: Path) -> Iterator[Kafka]:
    """A broker of this file's own; `proxies.before` it stands what disturbs who comes in there."""
    with running(Kafka(new_home(services_home, "kafka"), proxied=1)) as broker:
        yield broker


@pytest.fixture
def new_redis(services_home: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts Redis servers of this test's own, with `RedisServer`'s options."""
    servers: list[RedisServer] = []

    def start(**options: Any) -> RedisServer:
        servers.append(RedisServer(new_home(services_home, "redis"), **options))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def new_disk(services_home: Path) -> Iterator[Callable[..., SmallDisk]]:
    """Makes small disks of this test's own, of so many `megabytes`."""
    disks: list[SmallDisk] = []

    def start(*, megabytes: int) -> SmallDisk:
        disks.append(SmallDisk(new_home(services_home, "disk"), megabytes=megabytes))
        disks[-1].start()
        return disks[-1]

    yield start
    for disk in disks:
        disk.kill()


@pytest.fixture
def redis_cluster(services_home: Path) -> Iterator[RedisCluster]:
    """A Cluster of three masters, this test's own."""
    with running(RedisCluster(new_home(services_home, "redis-cluster"), append_fsync="always")) as cluster:
        yield cluster


@pytest.fixture
def redis_sentinel(services_home: Path) -> Iterator[RedisSentinel]:
    """A master, its replica and a Sentinel, this test's own."""
    with running(RedisSentinel(new_home(services_home, "redis-sentinel"))) as watched:
        yield watched


@pytest.fixture
def proxies(services_home: Path) -> Iterator[Proxies]:
    """Makes proxies that disturb connections, this test's own."""
    with running(Proxies(new_home(services_home, "proxies"))) as server:
        yield server


@pytest.fixture(scope="session")
def _breakable_kafka(services_home: Path) -> Iterator[Kafka]:
    yield from _kafka_of_own(services_home, nodes=1, controllers=0)


@pytest.fixture(scope="session")
def _kafka_cluster(services_home: Path) -> Iterator[Kafka]:
    yield from _kafka_of_own(services_home, nodes=3, controllers=3)


@pytest.fixture(scope="session")
def services_home(pytestconfig: pytest.Config) -> Path:
    """Where this run's services keep data, logs and pid files; cleared when the next run begins."""
    if _SHARED in pytestconfig.stash:
        return Path(pytestconfig.stash[_SHARED]["home"])
    return pytestconfig.stash[_RUN].home


def _kafka_of_own(services_home: Path, *, nodes: int, controllers: int) -> Iterator[Kafka]:
    brokers = Kafka(new_home(services_home, "kafka"), nodes=nodes, controllers=controllers)
    yield brokers
    brokers.kill()


def _set_going(brokers: Kafka) -> None:
    for node in brokers.nodes:
        if node.is_alive():
            node.resume()


def _shared(config: pytest.Config, service: str) -> str:
    if _SHARED in config.stash:
        return config.stash[_SHARED][service]
    run = config.stash[_RUN]
    try:
        return run.kafka_bootstrap if service == "kafka" else run.redis_url
    except ServiceError as error:
        pytest.fail(str(error), pytrace=False)
