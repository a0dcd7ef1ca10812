"""What a namespace of Redis was made for: compared at each start and each new life, recorded at the first.

Law: nothing is recorded where anything recorded is another, but for a topic that goes by a higher generation.
"""

from collections.abc import Mapping

from projector.adapters.redis_server import Client
from projector.errors import WrongInput

# Stored, in the hash `ns:meta`: a new name is recorded beside the old ones, a changed one is a migration.
GENERATION = "topic generation"
GROUP, SHARDS = "group", "shards"
VERSIONS = ("format", "fold")
OF_TOPIC = ("cluster", "topic", "topic id")
"""What a higher generation may change."""


def recorded_in(client: Client, namespace: str) -> dict[str, str]:
    """Empty where nothing has been folded into it."""
    stored = client.execute_command("HGETALL", f"{namespace}:meta")
    return {name.decode(): value.decode() for name, value in stored.items()}


def record(client: Client, namespace: str, wanted: Mapping[str, str], where: str) -> dict[str, str]:
    """What is recorded, after recording what was not; workers that start together record the same.

    Raises `WrongInput` as `compare` does, before anything is written.
    """
    recorded = recorded_in(client, namespace)
    compare(recorded, wanted, namespace, where)
    if recorded and _generation(wanted) > _generation(recorded):
        taken_over = [part for name in (*OF_TOPIC, GENERATION) if name in wanted for part in (name, wanted[name])]
        client.execute_command("HSET", f"{namespace}:meta", *taken_over)
    missing = {name: value for name, value in wanted.items() if name not in recorded}
    for name, value in missing.items():
        client.execute_command("HSETNX", f"{namespace}:meta", name, value)
    if missing or _generation(wanted) > _generation(recorded):  # Another may have been a moment faster.
        recorded = recorded_in(client, namespace)
        compare(recorded, wanted, namespace, where)
    return recorded


def compare(recorded: Mapping[str, str], wanted: Mapping[str, str], namespace: str, where: str) -> None:
    """Raises `WrongInput` where the namespace was made for something else; says what to do."""
    ours, theirs = _generation(wanted), _generation(recorded)
    name = f"namespace {namespace} in Redis at {where}"
    if ours < theirs:
        raise WrongInput(
            f"{name} goes on with generation {theirs} of its topic, not {ours}.\nSet topic_generation = {theirs}"
        )
    wrong = {one: recorded[one] for one, value in wanted.items() if recorded.get(one, value) != value}
    wrong.pop(GENERATION, None)
    if ours > theirs:
        wrong = {one: value for one, value in wrong.items() if one not in OF_TOPIC}
    if not wrong:
        return
    told = "; ".join(f"{one} {value}, not {wanted[one]}" for one, value in wrong.items())
    if wrong.keys() & set(VERSIONS):
        raise WrongInput(_of_another_version(name, wrong, wanted, told))
    if wrong.keys() == {"topic id"}:
        raise WrongInput(
            f"topic {wanted.get('topic', '')} was made anew since {name} was filled from it ({told})."
            f"\nSet topic_generation = {ours + 1}: sessions stay, revisions go on, what the topic holds is folded."
            " Or restore the topic"
        )
    raise WrongInput(f"{name} was made for {told}.\n{_what_to_do(wrong, ours)}")


def _of_another_version(name: str, wrong: Mapping[str, str], wanted: Mapping[str, str], told: str) -> str:
    newer = any(int(wrong[one]) > int(wanted[one]) for one in VERSIONS if one in wrong)
    return (
        f"{name} was written by {'a newer' if newer else 'an older'} version of the projector ({told})."
        "\nRun that version, or set another namespace (it is filled from the log)"
    )


def _what_to_do(wrong: Mapping[str, str], generation: int) -> str:
    fill = "another namespace (it is filled from the log)"
    if wrong.keys() == {SHARDS}:
        return f"Set shards = {wrong[SHARDS]}, or 0 for what is recorded; another number needs {fill}"
    if GROUP in wrong:
        return f"Set {fill}, or group_id = {wrong[GROUP]} if this service is to go on for that one"
    return (
        f"Set {fill}; or topic_generation = {generation + 1} if the sessions of that topic are to go on with this one"
    )


def _generation(meta: Mapping[str, str]) -> int:
    return int(meta.get(GENERATION, "0"))
