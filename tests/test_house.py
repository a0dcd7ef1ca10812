"""What the folder tree promises: imports go one way, the fold is pure, clients stay at the edge, files stay short."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "projector"

PURE = """
errors remembers dates exits garbage models events strict complaints payloads decode
enrich.url enrich.search enrich.campaign enrich.referrer_list enrich.referrer enrich.agent enrich.geo enrich.privacy
enrich rules enrich.event
route conversation slots session values collected evolve join sessionize track visitor snapshot
schemas.words schemas.model schemas.inputs schemas.outputs schemas.examples schemas.asyncapi schemas
ledger ports cache reading shares share_messages
""".split()
"""No clock, environment, logging, Kafka or Redis; time comes in as a value."""

OUTER = """
life deadlines draft telling taking crossing short_ids drafting saving turn worker
adapters adapters.short_id_pool adapters.embedded adapters.file adapters.file_output
instance
adapters.kafka.settings adapters.kafka.trouble adapters.kafka.lasting adapters.kafka.abandoned adapters.kafka.extent
adapters.kafka.reading adapters.kafka.source adapters.kafka.reader adapters.kafka.topics adapters.kafka.fitting
adapters.kafka.outgoing adapters.kafka.packing adapters.kafka.writing adapters.kafka.publisher
adapters.kafka.generations adapters.kafka.onlooker adapters.kafka
adapters.redis_place adapters.redis_packing adapters.redis_server adapters.redis_check adapters.redis_confirmed
adapters.redis_records adapters.redis_request adapters.redis_writer
adapters.redis_namespace adapters.redis
replay share_source share_worker crew explain settings config logs metrics notices pulse service start_checks
supervisor
cli.options cli.progress cli.run cli.replay cli.inspect cli.explain cli.doctor cli.schemas cli
""".split()

ORDER = ["", *PURE, *OUTER]
"""Each file imports only from files before it; a new file gets its place here."""

WORLD = set(
    "asyncio kafka logging multiprocessing os prometheus_client random redis secrets shutil signal socket sqlite3"
    " structlog subprocess sys tempfile threading time".split()
)
OPENS_FILES = {"enrich.geo": {"os", "shutil", "tempfile"}}
"""Looking an address up needs the database that the operator named: it is opened once, from a copy."""

CLIENTS = {"kafka", "redis", "sqlite3"}

LINES_MAX, FUNCTION_LINES_MAX = 350, 50
STILL_TOO_LONG: set[str] = set()
"""To be split; a file that has been leaves this list."""

TOP_LEVEL = set(
    "pyproject.toml projector schemas tests deploy README.md CHANGELOG.md LICENSE Makefile dist build".split()
)


def path_of(name: str) -> Path:
    stem = PACKAGE / name.replace(".", "/")
    return stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")


@cache
def files() -> dict[str, Path]:
    """By name below `projector`, a package by its own."""
    paths = {path.relative_to(PACKAGE).with_suffix(""): path for path in PACKAGE.rglob("*.py")}
    return {".".join(part for part in name.parts if part != "__init__"): path for name, path in paths.items()}


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse(path_of(name).read_text(encoding="utf-8"))


def imported_by(name: str) -> Iterator[str]:
    """Full names, those inside functions included; of `from a import b` the module b if there is one, else a."""
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner.removeprefix("projector.") in files() else node.module


def own(name: str) -> set[str]:
    return {one.removeprefix("projector").removeprefix(".") for one in imported_by(name) if one.startswith("projector")}


def foreign(name: str) -> set[str]:
    return {one.partition(".")[0] for one in imported_by(name)}


def functions_of(name: str) -> Iterator[tuple[str, int]]:
    """Each with the lines of its body, signature and docstring aside."""
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[ast.get_docstring(node) is not None and len(node.body) > 1]
            yield node.name, (node.end_lineno or 0) - first.lineno + 1


def shipped_texts() -> dict[str, str]:
    """Everything that is written here by hand or by the code, by its path."""
    texts = {}
    for top in ("projector", "schemas", "tests", "deploy", ".ci"):
        for path in (ROOT / top).rglob("*"):
            if path.is_file() and path != Path(__file__) and not {"__pycache__", "schemas_vendor"} & set(path.parts):
                texts[str(path.relative_to(ROOT))] = path.read_bytes().decode(errors="replace")
    for name in ("README.md", "CHANGELOG.md", "Makefile", "pyproject.toml", ".gitignore", ".dockerignore"):
        texts[name] = (ROOT / name).read_text(encoding="utf-8")
    return texts


# ---- imports ------------------------------------------------------------------------------------------------------


def test_every_file_has_its_place_in_the_order() -> None:
    assert sorted(ORDER) == sorted(files())


@pytest.mark.parametrize("name", ORDER)
def test_a_file_imports_only_from_files_before_it(name: str) -> None:
    before = set(ORDER[: ORDER.index(name)])

    assert own(name) - before == set()


@pytest.mark.parametrize("name", PURE)
def test_what_is_pure_imports_nothing_of_the_world(name: str) -> None:
    assert foreign(name) & WORLD == OPENS_FILES.get(name, set())


@pytest.mark.parametrize("name", PURE)
def test_what_is_pure_reads_no_clock(name: str) -> None:
    calls = [node.func for node in ast.walk(tree_of(name)) if isinstance(node, ast.Call)]
    attributes = {func.attr for func in calls if isinstance(func, ast.Attribute)}

    assert attributes & {"now", "utcnow", "today"} == set()


@pytest.mark.parametrize("name", [name for name in ORDER if not name.startswith("adapters")])
def test_clients_are_seen_in_adapters_only(name: str) -> None:
    assert foreign(name) & CLIENTS == set()


# ---- size and names -----------------------------------------------------------------------------------------------


def test_files_are_short() -> None:
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in files().items()}

    assert {name for name, count in lines.items() if count > LINES_MAX} == STILL_TOO_LONG


@pytest.mark.parametrize("name", ORDER)
def test_functions_are_short(name: str) -> None:
    assert {function: lines for function, lines in functions_of(name) if lines > FUNCTION_LINES_MAX} == {}


@pytest.mark.parametrize("name", [name for name in ORDER if tree_of(name).body])
def test_a_file_says_what_it_is(name: str) -> None:
    assert name in ("", "adapters") or ast.get_docstring(tree_of(name))


def test_no_file_is_a_drawer_for_what_has_no_place() -> None:
    names = {name.rpartition(".")[2] for name in files()}

    assert names & {"utils", "util", "helpers", "helper", "manager", "common", "misc"} == set()


def test_the_top_level_holds_what_is_known_to_be_there() -> None:
    there = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}

    assert there - TOP_LEVEL == set()


# ---- words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(r"(?<![\w.])/(home|root|work|farm|tmp|Users)/", id="paths of one machine"),
        pytest.param(
            r"\b(pypi\.org|pythonhosted\.org|artifactory|docker\.io|quay\.io|ghcr\.io|repo1?\.maven)\b", id="hosts"
        ),
        pytest.param(r"\b(contract|design|clients|house-style|journey-domain)\.md\b", id="papers that users lack"),
    ],
)
def test_some_words_stay_out(words: str) -> None:
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for path, text in shipped_texts().items()
        for match in re.finditer(words, text)
    ]

    assert found == []
