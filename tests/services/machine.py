"""What of the servers this machine has, and getting what it lacks: with apt as root, jars by Maven, else from Docker;
the proxy that breaks connections is built by Go.

Law: what cannot be had is said in one line that names what to install.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.services.process import ContainerProcess, Process, ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".work"
POM = Path(__file__).with_name("pom.xml")
LOG_CONFIG = Path(__file__).with_name("log4j2.properties")
JAVA_VERSION_MIN = 17  # Kafka 4 asks for it.
REDIS_IMAGE = "redis:7.2-alpine"
TOXIPROXY = "github.com/Shopify/toxiproxy/v2/cmd/server"
TOXIPROXY_VERSION = "v2.12.0"
# Of several packages the first that this machine's apt knows: systems differ in the Java that they carry.
PACKAGES = {
    "java": ("openjdk-17-jre-headless", "openjdk-21-jre-headless", "default-jre-headless"),
    "mvn": ("maven",),
    "redis-server": ("redis-server",),
    "kcat": ("kcat",),
    "openssl": ("openssl",),
}


def kafka_version() -> str:
    version = ET.parse(POM).findtext("properties/kafka.version")
    assert version, "pom.xml names the broker's version"
    return version


def kafka_image() -> str:
    return f"apache/kafka:{kafka_version()}"


def jars() -> Path:
    return WORK / "kafka" / kafka_version()


def install() -> None:
    """Makes this machine able to start a broker and a Redis; quick where it already is.

    Raises ServiceError where neither apt as root nor a Docker engine can give what is missing.
    """
    missing = [program for program in PACKAGES if not has(program)]
    if missing and has_apt():
        _apt_install([PACKAGES[program] for program in missing])
        has_java.cache_clear()
    if has("java") and has("mvn"):
        fetch_jars()
    if can_run_kafka() and has("redis-server"):
        return
    if not has_docker():
        needed = [program for program in ("java", "mvn", "redis-server") if not has(program)]
        raise ServiceError(
            f"for Kafka and Redis this machine lacks {', '.join(needed)}: install Java {JAVA_VERSION_MIN}, Maven and "
            "redis-server, or start a Docker engine, or be root where there is apt"
        )
    for image in (kafka_image(), REDIS_IMAGE):
        _run(["docker", "pull", "--quiet", image], why=f"Docker could not get the image {image}")


def has(program: str) -> bool:
    return has_java() if program == "java" else shutil.which(program) is not None


@cache
def has_java() -> bool:
    if shutil.which("java") is None:
        return False
    said = subprocess.run(["java", "-version"], check=False, capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', said)
    return version is not None and int(version[1]) >= JAVA_VERSION_MIN


def has_apt() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


@cache
def has_docker() -> bool:
    """Whether there is an engine that answers, not just its command."""
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "version"], check=False, capture_output=True, timeout=60).returncode == 0


def can_run_kafka() -> bool:
    return has_java() and jars().is_dir()


def fetch_jars() -> None:
    """Copies the broker's jars to `jars()`, checksums checked; all or nothing: a cut download is not one."""
    if jars().is_dir():
        return
    jars().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars().parent) as scratch:
        copied = Path(scratch) / "jars"
        maven = ["mvn", "--batch-mode", "--quiet", "--strict-checksums", "--file", str(POM)]
        options = ["-DincludeScope=runtime", f"-DoutputDirectory={copied}"]
        why = f"Maven could not get the jars of Kafka {kafka_version()}"
        _run([*maven, "dependency:copy-dependencies", *options], why=why)
        copied.rename(jars())


def toxiproxy() -> Path:
    return WORK / "toxiproxy" / TOXIPROXY_VERSION / "server"


def build_toxiproxy() -> None:
    """Builds the proxy, all or nothing; raises ServiceError where there is no Go, or none that is new enough."""
    if toxiproxy().exists():
        return
    if not has("go"):
        raise ServiceError("for the proxy that breaks connections this machine lacks Go: install Go 1.23 or newer")
    toxiproxy().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=toxiproxy().parent) as scratch:
        command = ["go", "install", f"{TOXIPROXY}@{TOXIPROXY_VERSION}"]
        why = f"Go could not build Toxiproxy {TOXIPROXY_VERSION}"
        _run(command, why=why, environment={"GOBIN": scratch, "GOFLAGS": "-mod=mod"})
        (Path(scratch) / "server").rename(toxiproxy())


def redis_process(name: str, options: list[str], home: Path) -> Process:
    """A Redis server with these options; from an image where there is no redis-server but Docker."""
    if has("redis-server"):
        return Process(name, ["redis-server", *options], home)
    return _container(name, REDIS_IMAGE, ["redis-server", *options], home)


def kafka_process(name: str, properties: Path, cluster_id: str) -> Process:
    """A broker that formats its storage where that is new, then runs; home is the folder of its properties."""
    home, config = properties.parent, str(properties)
    if can_run_kafka():
        return Process(name, [*java("-Xms256m", "-Xmx512m"), "kafka.Kafka", config], home)
    script = (
        f"/opt/kafka/bin/kafka-storage.sh format --ignore-formatted -t {cluster_id} -c {config}"
        f" && exec /opt/kafka/bin/kafka-server-start.sh {config}"
    )
    return _container(name, kafka_image(), ["-c", script], home, "--entrypoint=/bin/bash")


def format_storage(properties: Path, cluster_id: str) -> None:
    """Writes what a KRaft node needs to start from; nothing where it is written, or where the container does it."""
    if can_run_kafka():
        formatter = [*java("-XX:TieredStopAtLevel=1"), "kafka.tools.StorageTool", "format", "--ignore-formatted"]
        _run([*formatter, "-t", cluster_id, "-c", str(properties)], why="Kafka's storage could not be formatted")


def java(*options: str) -> list[str]:
    """The start of a command that runs a class out of Kafka's jars."""
    return ["java", *options, f"-Dlog4j2.configurationFile={LOG_CONFIG}", "-cp", f"{jars()}/*"]


def _container(name: str, image: str, argv: list[str], home: Path, *options: str) -> ContainerProcess:
    """On the host's network and with home at its own path, so that ports and files are the same inside and outside."""
    if not has_docker():
        raise ServiceError(f"{name} can not be started: run `make services`, which says what this machine lacks")
    container = f"projector-{name}-{os.getpid()}-{home.name}"
    run = ["docker", "run", "--rm", "--init=false", f"--name={container}", "--network=host"]
    run += [f"--user={os.getuid()}:{os.getgid()}", f"--volume={home}:{home}", "--env=LOG_DIR=/tmp", *options]
    run += ["--env=KAFKA_HEAP_OPTS=-Xms256m -Xmx512m", image, *argv]
    return ContainerProcess(name, run, home, container=container)


def _apt_install(choices: list[tuple[str, ...]]) -> None:
    _run(["apt-get", "update", "-qq"], why="apt could not read its package lists")
    packages = [next(filter(_apt_knows, names), names[0]) for names in choices]
    why = f"apt could not install {' '.join(packages)}"
    _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], why=why)


def _apt_knows(package: str) -> bool:
    return subprocess.run(["apt-cache", "show", package], check=False, capture_output=True).returncode == 0


def _run(argv: list[str], *, why: str, environment: Mapping[str, str] = MappingProxyType({})) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", **environment}
    done = subprocess.run(argv, check=False, capture_output=True, text=True, env=env)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["it said nothing"]
        raise ServiceError(f"{why} (exit {done.returncode}): {lines[-1]}")
