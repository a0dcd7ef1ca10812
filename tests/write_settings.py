"""What is written down of the settings, from the code: the example file, and the table in the README.

`python -m tests.write_settings` writes both anew.
"""

import json
from itertools import groupby
from pathlib import Path
from textwrap import wrap

from projector.settings import SETTINGS, Setting

ROOT = Path(__file__).parents[1]
FILE = ROOT / "deploy" / "projector.example.toml"
README = ROOT / "README.md"
BEGIN, END = "<!-- settings: python -m tests.write_settings -->\n", "<!-- end of settings -->\n"
WIDTH = 118

HEAD = """\
# Settings of the session projector, each with its meaning and, commented out, its default.
#
# Copy this file to projector.toml where `projector` is started, or name it with --config. A setting `name` is also
# PROJECTOR_NAME in the environment, which goes before this file, and --name where a command has it, which goes before
# both. Durations are 250ms, 45s, 30m, 12h or 7d; lists are separated by commas in the environment.
# `projector doctor` checks settings, Kafka, topics and Redis.
"""
RULES = """\
# In the environment it is JSON. For example, to keep no internal names, gather what was looked at in a list, and
# leave the rest as it is:
# attribute_rules = [
#   { match = "internal_*", drop = true },
#   { match = "sku", to = "skus", list = true },
#   { match = "cart_*", to = "shop.{name}", types = ["web", "app"] },
#   { match = "*" },
# ]
"""
CLIENTS = """
# ---- The clients ----

# Further settings that begin with kafka_ are those of kafka-python's consumer, producer and admin client, those that
# begin with redis_ those of redis-py's connections, under their own names. What delivery stands on is the projector's
# own and refused here (isolation level, acks, idempotence, group and transaction settings). For example:
# kafka_security_protocol = "SASL_SSL"
# kafka_sasl_mechanism = "SCRAM-SHA-512"
# kafka_sasl_plain_username = "projector"
# kafka_sasl_plain_password = "better in the environment: PROJECTOR_KAFKA_SASL_PLAIN_PASSWORD"
# kafka_ssl_cafile = "ca.pem"
# redis_socket_timeout = 5
"""


def text() -> str:
    sections = groupby(SETTINGS, key=lambda setting: setting.section)
    return HEAD + "".join(_section(title, list(settings)) for title, settings in sections) + CLIENTS


def _section(title: str, settings: list[Setting]) -> str:
    return f"\n# ---- {title} ----\n" + "".join(map(_entry, settings))


def _entry(setting: Setting) -> str:
    meaning = "".join(f"# {line}\n" for line in wrap(setting.meaning, WIDTH - 2))
    default = f"# {setting.name} = {json.dumps(setting.default)}\n"
    return f"\n{meaning}{default}{RULES if setting.name == 'attribute_rules' else ''}"


def table() -> str:
    """For the README, between its two marks."""
    rows = [f"| `{one.name}` | `{json.dumps(one.default)}` | {one.meaning} |\n" for one in SETTINGS]
    return "| setting | default | meaning |\n|---|---|---|\n" + "".join(rows)


def table_in(readme: str) -> str:
    """What stands there."""
    return readme.partition(BEGIN)[2].partition(END)[0]


def main() -> None:
    FILE.write_text(text(), encoding="utf-8")
    readme = README.read_text(encoding="utf-8")
    README.write_text(readme.replace(BEGIN + table_in(readme) + END, BEGIN + table() + END), encoding="utf-8")
    print(f"{FILE.name} and {README.name} have {len(SETTINGS)} settings")


if __name__ == "__main__":
    main()
