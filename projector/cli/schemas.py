"""`projector schemas`: writes `schemas/` from the code, or checks that it is as the code has it."""

from pathlib import Path
from typing import Annotated

import typer

from projector import exits
from projector import schemas as documents
from projector.errors import WrongInput
from projector.schemas.model import VERSION

Output = Annotated[Path, typer.Option(help="The folder to write to.", file_okay=False)]
Check = Annotated[bool, typer.Option("--check", help="Write nothing: name the files that differ, exit 1 if any.")]


def schemas(output: Output = Path("schemas"), check: Check = False) -> None:
    """Write the JSON Schemas, the AsyncAPI document and the example messages.

    Example: projector schemas --output schemas --check
    """
    wanted = {output / path: documents.text_of(document) for path, document in documents.documents().items()}
    # Folders of other versions are what their readers rely on: they are left alone.
    there = {path for path in (output / VERSION).rglob("*") if path.is_file()}
    differing = sorted(
        {path for path, text in wanted.items() if path not in there or path.read_bytes() != text.encode()}
        | there - wanted.keys()
    )
    if check:
        for path in differing:
            print(_difference(path, wanted, there))
        raise typer.Exit(code=exits.FAILED if differing else exits.DONE)
    for path in differing:
        if path in wanted:
            _write(path, wanted[path])
    print(f"{len(wanted)} files in {output}, {sum(path in wanted for path in differing)} of them written")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    except OSError as failed:
        raise WrongInput(f"--output: {path} cannot be written: {failed.strerror}") from failed


def _difference(path: Path, wanted: dict[Path, str], there: set[Path]) -> str:
    if path not in there:
        return f"{path}: missing"
    return f"{path}: differs from the code" if path in wanted else f"{path}: not from the code"
