"""The AsyncAPI document against the official schema of AsyncAPI 3.0.0, the files beside it, and its own examples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft7Validator, Draft202012Validator  # type: ignore[import-untyped]

from tests.test_schemas import COMMITTED, SCHEMAS, references_in

OFFICIAL = json.loads((Path(__file__).parent / "schemas_vendor" / "asyncapi-3.0.0.schema.json").read_text())
ASYNCAPI = json.loads((COMMITTED / "asyncapi.json").read_text())


def test_the_asyncapi_document_is_valid_by_the_official_schema() -> None:
    official = Draft7Validator(OFFICIAL)

    errors = [f"{list(error.absolute_path)}: {error.message}" for error in official.iter_errors(ASYNCAPI)]
    assert errors == []
    assert not official.is_valid({**ASYNCAPI, "channels": {"x": {"messages": []}}})


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    references = set(references_in(ASYNCAPI))
    files = {reference for reference in references if reference.startswith("./")}

    assert all((COMMITTED / file).is_file() for file in files)
    assert {f"./{name}.schema.json" for name in SCHEMAS.keys() - {"journey-event", "reject"}} == files
    for reference in references - files:
        node = ASYNCAPI
        for name in reference.removeprefix("#/").split("/"):
            node = node[name]


def test_the_asyncapi_document_names_the_three_topics_and_who_reads_and_writes_them() -> None:
    topics = {name: channel["address"] for name, channel in ASYNCAPI["channels"].items()}
    operations = {
        (operation["action"], topics[operation["channel"]["$ref"].removeprefix("#/channels/")])
        for operation in ASYNCAPI["operations"].values()
    }

    assert operations == {
        ("receive", "journey-events"),
        ("send", "journey-sessions"),
        ("send", "journey-events.rejected"),
    }


@pytest.mark.parametrize("name", sorted(ASYNCAPI["components"]["messages"]))
def test_the_examples_of_a_message_are_valid_by_its_schemas(name: str) -> None:
    message = ASYNCAPI["components"]["messages"][name]

    assert message["examples"]
    for example in message["examples"]:
        for part in example.keys() & {"payload", "headers"}:
            reference = message[part].get("$ref")
            schema = json.loads((COMMITTED / reference).read_text()) if reference else message[part]
            Draft202012Validator(schema).validate(example[part])
