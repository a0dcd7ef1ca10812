"""What is shipped: wheel, sdist, lock files, image and compose file say the same as pyproject.toml and each other."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml  # type: ignore[import-untyped]
from packaging.requirements import Requirement

from projector import __version__, config
from tests.services import machine, pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

ROOT = machine.ROOT
RUNTIME_LOCK, TEST_LOCK = ROOT / "deploy" / "requirements.lock", ROOT / "tests" / "requirements.lock"
LOCKS = pytest.mark.parametrize("lock", [RUNTIME_LOCK, TEST_LOCK], ids=["runtime", "test"])
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


# ---- wheel and sdist ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both built as a release is: the sdist from the tree, the wheel from the sdist."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(dist / f"session_projector-{__version__}-py3-none-any.whl") as wheel:
        yield wheel


@pytest.fixture(scope="module")
def sdist_names(dist: Path) -> set[str]:
    stem = f"session_projector-{__version__}"
    with tarfile.open(dist / f"{stem}.tar.gz") as sdist:
        return {name.removeprefix(f"{stem}/") for name in sdist.getnames()}


def test_the_wheel_holds_every_module_and_its_type_marker_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "projector").rglob("*.py")}

    held = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert modules | {"projector/py.typed"} <= held
    assert {name.split("/")[0] for name in held} == {"projector"}


def test_the_wheel_says_who_it_is(wheel: zipfile.ZipFile) -> None:
    info = f"session_projector-{__version__}.dist-info"
    metadata: Message = email.message_from_bytes(wheel.read(f"{info}/METADATA"))

    assert (metadata["Name"], metadata["Version"]) == ("session-projector", __version__)
    assert (metadata["Requires-Python"], metadata["License-Expression"]) == (">=3.11", "Apache-2.0")
    assert "projector = projector.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
    assert f"{info}/licenses/LICENSE" in wheel.namelist()


def test_the_sdist_holds_what_it_takes_to_test_it(sdist_names: set[str]) -> None:
    wanted = {"Makefile", "LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "projector/py.typed"}
    wanted |= {"tests/conftest.py", "tests/services/pom.xml", "tests/requirements.lock", "deploy/requirements.lock"}

    assert wanted <= sdist_names
    assert {name.split("/")[0] for name in sdist_names} <= {
        *(name.split("/")[0] for name in PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]),
        ".gitignore",
        "PKG-INFO",
    }


def test_the_command_prints_its_version() -> None:
    command = [str(Path(sys.executable).with_name("projector")), "--version"]

    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert __version__ in done.stdout.split()


# ---- lock files ---------------------------------------------------------------------------------------------------


@LOCKS
def test_a_lock_file_names_no_registry(lock: Path) -> None:
    text = lock.read_text()

    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--index-url|--extra-index-url|--find-links|--trusted-host)\b", text, re.MULTILINE)


@LOCKS
def test_a_lock_file_pins_every_requirement_by_version_and_hash(lock: Path) -> None:
    for name, block in _locked(lock).items():
        assert re.match(r"[a-z0-9-]+==[^ ]+( ; [^\\]+)? \\\n", block), block
        assert re.search(r"^    --hash=sha256:[0-9a-f]{64}", block, re.MULTILINE), f"{name} has no hash"


@pytest.mark.parametrize(
    ("lock", "declared"),
    [
        (RUNTIME_LOCK, PYPROJECT["project"]["dependencies"]),
        (TEST_LOCK, PYPROJECT["project"]["dependencies"] + PYPROJECT["dependency-groups"]["test"]),
    ],
    ids=["runtime", "test"],
)
def test_a_lock_file_meets_what_pyproject_asks_for(lock: Path, declared: list[str]) -> None:
    pinned = _versions(lock)

    for requirement in map(Requirement, declared):
        version = pinned[_normal(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} is locked at {version}: run `make lock`"


def test_tests_run_with_the_versions_that_are_deployed() -> None:
    assert _versions(RUNTIME_LOCK).items() <= _versions(TEST_LOCK).items()


# ---- image and compose file ---------------------------------------------------------------------------------------


def test_the_image_installs_by_hash_and_does_not_run_as_root() -> None:
    installs = re.findall(r"bin/pip install (.*?)(?: \\)?$", DOCKERFILE, re.MULTILINE)

    assert installs
    assert all(install.startswith(("--require-hashes ", "--no-deps /dist/")) for install in installs)
    assert (users := re.findall(r"^USER (\d+):", DOCKERFILE, re.MULTILINE))
    assert int(users[-1]) > 0


def test_the_image_copies_only_what_there_is_and_what_the_build_context_lets_in() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    copied = {source for line in copies for source in line.split()}

    assert copied == allowed
    assert not [source for source in copied if not (ROOT / source).exists()]


def test_the_image_runs_on_a_supported_python() -> None:
    bases = set(re.findall(r"^FROM python:(\S+)-slim", DOCKERFILE, re.MULTILINE))
    supported = {c.rpartition(" ")[2] for c in PYPROJECT["project"]["classifiers"] if "Python :: 3." in c}

    assert len(bases) == 1
    assert bases <= supported


def test_compose_starts_the_projector_only_when_its_topics_are_made() -> None:
    services = COMPOSE["services"]

    assert services["topics"]["command"] == ["doctor", "--create-topics"]
    assert services["projector"]["command"] == ["run"]
    assert services["projector"]["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}
    assert services["topics"]["environment"] == services["projector"]["environment"]


def test_compose_names_settings_that_there_are() -> None:
    names = {name.removeprefix("PROJECTOR_").lower() for name in COMPOSE["services"]["projector"]["environment"]}

    assert names <= set(config.Config.__struct_fields__)


def test_compose_keeps_redis_from_evicting_and_has_it_write_to_disk() -> None:
    command = COMPOSE["services"]["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))

    assert options["--maxmemory-policy"] == "noeviction"
    assert options["--appendonly"] == "yes"


def test_compose_runs_the_broker_that_is_tested_and_names_the_topics_of_the_defaults() -> None:
    services = COMPOSE["services"]
    settings, defaults = services["projector"]["environment"], config.load(environment={})

    assert services["kafka"]["image"] == machine.kafka_image() == services["input-topic"]["image"]
    assert settings["PROJECTOR_INPUT_TOPIC"] == pipeline.INPUT_TOPIC == defaults.input_topic
    assert settings["PROJECTOR_OUTPUT_TOPIC"] == pipeline.OUTPUT_TOPIC == defaults.output_topic
    assert settings["PROJECTOR_REJECTS_TOPIC"] == defaults.rejects_topic
    assert f"--topic={pipeline.INPUT_TOPIC}" in services["input-topic"]["command"]


def _locked(lock: Path) -> dict[str, str]:
    """The text of each requirement of a lock file, its hashes and comments included, by name."""
    blocks = re.split(r"^(?=[a-z0-9])", lock.read_text(), flags=re.MULTILINE)[1:]
    return {re.split("[=@ ]", block)[0]: block for block in blocks}


def _versions(lock: Path) -> dict[str, str]:
    return {name: block.split("==")[1].split()[0] for name, block in _locked(lock).items()}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
