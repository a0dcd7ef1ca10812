"""The command line: a file a command; here they come together, and errors become a line and an exit code."""

import sys
from typing import Annotated

import typer

from projector import __version__, exits
from projector.cli.doctor import doctor
from projector.cli.explain import explain
from projector.cli.inspect import inspect
from projector.cli.replay import replay
from projector.cli.run import run
from projector.cli.schemas import schemas
from projector.errors import ProjectorError, WrongInput

app = typer.Typer(
    name="projector",
    help="Folds journey events into sessions: Kafka in, Redis as state, a compacted Kafka topic out.",
    epilog="Settings come from projector.toml, then PROJECTOR_... in the environment, then flags.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"session-projector {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


for command in (run, replay, inspect, explain, doctor, schemas):
    app.command()(command)


def main() -> None:
    """Run the command line; what went wrong is said in a line or two, never in a traceback."""
    try:
        app()
    except ProjectorError as wrong:
        for line in str(wrong).splitlines():
            typer.echo(f"projector: {line}", err=True)
        sys.exit(exits.WRONG if isinstance(wrong, WrongInput) else exits.FAILED)
    except BrokenPipeError:
        # Whoever read our output has left: nothing more to say, and nobody to say it to.
        sys.stderr.close()
        sys.exit(exits.FAILED)
