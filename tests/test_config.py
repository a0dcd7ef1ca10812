"""Settings: file, environment and flags in their order, every kind of value, and every mistake named at once (contract §9)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from projector.adapters.redis_place import FORMS
from projector.config import Config, load
from projector.dates import parse_time
from projector.errors import WrongInput
from projector.rules import AttributeRule
from projector.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

DAY = 86_400_000


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no settings file lies that nobody named."""
    monkeypatch.chdir(tmp_path)


def config_of(toml: str = "", environment: Mapping[str, str] | None = None, **flags: object) -> Config:
    file = Path("given.toml") if toml else None
    if file is not None:
        file.write_text(toml, encoding="utf-8")
    return load(file, flags, {f"PROJECTOR_{name}": text for name, text in (environment or {}).items()})


def problems_of(toml: str = "", environment: Mapping[str, str] | None = None, **flags: object) -> list[str]:
    with pytest.raises(WrongInput) as wrong:
        config_of(toml, environment, **flags)
    return str(wrong.value).splitlines()


def test_the_defaults_are_those_of_the_contract() -> None:
    config = config_of()

    assert (config.kafka_bootstrap_servers, config.redis_url) == ("localhost:9092", "redis://localhost:6379/0")
    assert (config.input_topic, config.output_topic) == ("journey-events", "journey-sessions")
    assert (config.rejects_topic, config.group_id) == ("journey-events.rejected", "session-projector")
    assert (config.group_session_timeout, config.delivery, config.start) == (10_000, "exactly-once", "beginning")
    assert (config.retention, config.future_tolerance) == (7 * DAY, 300_000)
    assert (config.timeout_web, config.timeout_app, config.idle_after, config.away_after) == (
        *(1_800_000, 1_800_000),
        *(45_000, 60_000),
    )
    assert (config.campaign_split, config.short_id_digits, config.event_ids_max) == (True, 6, 4096)
    assert (config.pageview_events, config.screenview_events) == (("page_viewed",), ("screen_viewed",))
    assert config.search_parameters == ("q", "query", "search", "term")
    assert config.attribute_rules == ()


def test_the_namespace_is_the_groups_where_none_is_named() -> None:
    assert config_of(group_id="g").namespace == "g"
    assert config_of(group_id="g", namespace="own").namespace == "own"


def test_a_flag_goes_before_the_environment_and_that_before_the_file() -> None:
    toml = 'group_id = "file"\ninput_topic = "file"\noutput_topic = "file-out"'
    environment = {"GROUP_ID": "environment", "INPUT_TOPIC": "environment"}

    config = config_of(toml, environment, group_id="flag", output_topic=None)

    assert (config.group_id, config.input_topic, config.output_topic) == ("flag", "environment", "file-out")


def test_projector_toml_is_read_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "projector.toml").write_text('group_id = "found"')

    assert load(None, {}, {}).group_id == "found"


@pytest.mark.parametrize(
    ("text", "ms"),
    [("250ms", 250), ("45s", 45_000), ("30m", 1_800_000), ("12h", 43_200_000), ("7d", 7 * DAY), ("0", 0), ("0s", 0)],
)
def test_a_duration_has_a_unit(text: str, ms: int) -> None:
    assert config_of(f'idle_after = "{text}"').idle_after == config_of("", {"IDLE_AFTER": text}).idle_after == ms


def test_a_duration_of_0_needs_no_quotes_and_of_retention_means_for_ever() -> None:
    assert config_of("retention = 0").rules().retention == 0


@pytest.mark.parametrize(
    "wrong", ["45", "s", "-1s", "1.5h", "1 m", "1w", "1M", "٣s", "36501d", "999999999999d", "45seconds"]
)
def test_what_is_no_duration_is_refused_with_the_value_and_what_was_expected(wrong: str) -> None:
    assert problems_of("", {"RETENTION": wrong}) == [
        (
            f"`retention` is {wrong!r} (environment PROJECTOR_RETENTION): expected a duration with its unit, such as 45s,"
            " 30m, 12h or 7d, of 36500d at most"
        )
    ]


@pytest.mark.parametrize("name", ["timeout_web", "timeout_app", "group_session_timeout", "turn_timeout"])
def test_a_timeout_is_not_0(name: str) -> None:
    (problem,) = problems_of(f'{name} = "0s"')

    assert problem.startswith(f"`{name}` is '0s' (given.toml): expected a duration above zero")


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("Yes", True), ("on", True), ("false", False), ("0", False)]
)
def test_a_truth_value_is_said_in_several_ways_in_the_environment(text: str, value: bool) -> None:
    assert config_of("", {"CAMPAIGN_SPLIT": text}).campaign_split is value


def test_lists_are_separated_by_commas_in_the_environment() -> None:
    assert config_of("", {"PAGEVIEW_EVENTS": "a, b,c"}).pageview_events == ("a", "b", "c")
    assert config_of('pageview_events = ["a, b"]').pageview_events == ("a, b",)
    assert config_of("search_parameters = []").search_parameters == ()


def test_attribute_rules_are_tables_in_the_file_and_json_in_the_environment() -> None:
    toml = '[[attribute_rules]]\nmatch = "*debug*"\ndrop = true\n[[attribute_rules]]\nmatch = "x"\nto = "y"\ntypes = ["web"]'
    rules = [{"match": "*debug*", "drop": True}, {"match": "x", "to": "y", "types": ["web"]}]

    expected = (AttributeRule("*debug*", drop=True), AttributeRule("x", to="y", types=("web",)))
    assert config_of(toml).attribute_rules == expected
    assert config_of("", {"ATTRIBUTE_RULES": json.dumps(rules)}).attribute_rules == expected


def test_a_start_may_be_a_time() -> None:
    assert config_of('start = "2025-06-10T08:00:00Z"').start == parse_time("2025-06-10T08:00:00Z")


@pytest.mark.parametrize(
    ("name", "wrong", "expected"),
    [
        ("start", "yesterday", "beginning, end, or a time with an offset such as 2025-06-10T08:00:00Z"),
        ("start", "2025-06-10T08:00:00", "beginning, end, or a time with an offset such as 2025-06-10T08:00:00Z"),
        ("delivery", "once", "one of exactly-once, at-least-once"),
        ("on_gap", "", "one of stop, skip"),
        ("log_level", "loud", "one of debug, info, warning, error"),
        ("short_id_digits", "7", "a whole number from 4 to 6"),
        ("short_id_digits", "3", "a whole number from 4 to 6"),
        ("short_id_digits", "five", "a whole number from 4 to 6"),
        ("event_ids_max", "0", "a whole number from 1 to 1000000"),
        ("workers", "0", "a whole number from 1 to 256"),
        ("metrics_port", "65536", "a whole number from 0 to 65535"),
        ("campaign_split", "maybe", "true or false"),
        ("group_id", "", "a text that is not empty"),
        ("input_topic", "a topic", "a topic's name: at most 249 letters, digits, dots, _ and -"),
        ("output_topic", "é", "a topic's name: at most 249 letters, digits, dots, _ and -"),
        ("rejects_topic", "x" * 250, "a topic's name: at most 249 letters, digits, dots, _ and -"),
        ("input_topic", "..", "a topic's name: at most 249 letters, digits, dots, _ and -"),
        ("kafka_bootstrap_servers", "host:port", "host:port, several with commas between"),
        ("kafka_bootstrap_servers", ", ,", "host:port, several with commas between"),
        ("kafka_bootstrap_servers", "host:0", "host:port, several with commas between"),
        ("kafka_bootstrap_servers", "host:70000", "host:port, several with commas between"),
        ("kafka_bootstrap_servers", "kafka://host:9092", "host:port, several with commas between"),
        ("pageview_events", "a,,b", "a list of texts, in the environment separated by commas"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_what_was_expected(name: str, wrong: str, expected: str) -> None:
    variable = f"PROJECTOR_{name.upper()}"

    assert problems_of("", {name.upper(): wrong}) == [
        f"`{name}` is {wrong!r} (environment {variable}): expected {expected}"
    ]


@pytest.mark.parametrize("servers", ["host", "host:9092", "a:1,b:2", "a:1, b:2", "127.0.0.1:9092", "[::1]:9092"])
def test_brokers_are_hosts_with_or_without_a_port(servers: str) -> None:
    assert config_of(kafka_bootstrap_servers=servers).kafka_bootstrap_servers == servers


@pytest.mark.parametrize(
    "toml",
    ["event_ids_max = true", "event_ids_max = 1.5", 'campaign_split = "si"', "group_id = 5", "pageview_events = [1]"],
)
def test_a_value_of_another_type_is_wrong_in_the_file(toml: str) -> None:
    (problem,) = problems_of(toml)

    assert problem.startswith(f"`{toml.partition(' ')[0]}` is ")
    assert "(given.toml): expected " in problem


@pytest.mark.parametrize(
    "url",
    [
        "redis://h:6379/0",
        "redis://user:p%2Fss@h/1",
        "rediss://h",
        "unix:///run/redis.sock?db=2",
        "redis://[::1]:6379",
        "redis://h:7000,h:7001,[::1]:7002",
        "redis+sentinel://h/service",
        "rediss+sentinel://user:p%2Fss@h:26379,h:26380/service/1",
    ],
)
def test_redis_is_named_by_a_url(url: str) -> None:
    assert config_of(redis_url=url).redis_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://:geheim@h",
        "h:6379",
        "redis://",
        "redis://:ge/heim@h:1/0",
        "redis://:geheim@h:x",
        "unix://",
        "redis://:geheim@h:1,h:x",
        "redis+sentinel://:geheim@h:1",
        "redis+sentinel://:geheim@h:1/service/first",
        "sentinel://:geheim@h:1/service",
    ],
)
def test_a_wrong_redis_url_is_not_shown_for_it_may_hold_a_password(url: str) -> None:
    (problem,) = problems_of("", {"REDIS_URL": url})

    assert problem == (f"`redis_url` is not shown (environment PROJECTOR_REDIS_URL): expected {FORMS}")


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("[", "an array of tables (in the environment JSON) with `match`"),
        ("{}", "an array of tables (in the environment JSON) with `match`"),
        ('[{"to": "x"}]', "rule 1 to be right: Object missing required field `match`"),
        ('[{"match": "a"}, {"match": "b", "lst": true}]', "rule 2 to be right: Object contains unknown field `lst`"),
        ('[{"match": "a", "list": "yes"}]', "rule 1 to be right: Expected `bool`, got `str` - at `$.list`"),
        ('[{"match": ""}]', "rule 1 with a `match` that is not empty"),
        ('[{"match": "a", "drop": true, "to": "b"}]', "rule 1 (a) to drop, or to say where attributes go, not both"),
        ('[{"match": "a", "to": "{nam}"}]', "rule 1 (a) with a `to` that is a name"),
    ],
)
def test_a_wrong_attribute_rule_is_named(rules: str, expected: str) -> None:
    (problem,) = problems_of("", {"ATTRIBUTE_RULES": rules})

    said = f"`attribute_rules` is {rules!r} (environment PROJECTOR_ATTRIBUTE_RULES): expected {expected}"
    assert problem.startswith(said)


def test_every_mistake_is_listed_at_once_the_clients_included() -> None:
    toml = 'retention = "soon"\nkafka_lingering = 5\nredis_socket_timeout = "soon"\ntimeout_webb = "5m"'

    problems = problems_of(toml, {"SHORT_ID_DIGITS": "9"}, delivery="once")

    assert [problem.partition(" ")[0] for problem in problems] == [
        *("`retention`", "`timeout_webb`", "`short_id_digits`", "`delivery`"),
        *("kafka_lingering", "redis_socket_timeout"),
    ]


def test_a_setting_that_there_is_not_is_named_with_the_nearest_that_there_is() -> None:
    assert problems_of('retenton = "7d"') == ["`retenton` (given.toml) is no setting: did you mean `retention`?"]
    assert problems_of("", {"XYZ": "1"}) == [
        "`xyz` (environment PROJECTOR_XYZ) is no setting: see deploy/projector.example.toml for all of them"
    ]


def test_what_kubernetes_puts_into_the_environment_is_not_taken_for_settings() -> None:
    environment = {
        "SERVICE_HOST": "10.0.0.1",
        "SERVICE_PORT": "80",
        "PORT": "tcp://10.0.0.1:80",
        "PORT_80_TCP_ADDR": "x",
    }

    assert config_of("", environment) == config_of()


def test_the_metrics_port_is_a_setting_although_its_name_looks_like_a_service_of_kubernetes() -> None:
    assert config_of("", {"METRICS_PORT": "9100"}).metrics_port == 9100


def test_three_topics_are_three() -> None:
    assert problems_of('output_topic = "journey-events"') == [
        (
            "`input_topic`, `output_topic` and `rejects_topic` are journey-events, journey-events, journey-events.rejected:"
            " expected three topics"
        )
    ]


def test_a_retention_shorter_than_a_timeout_is_refused() -> None:
    assert problems_of('retention = "29m"\ntimeout_app = "10m"') == [
        "`retention` is shorter than `timeout_web`: sessions would be forgotten before they end"
    ]
    assert config_of('retention = "30m"').retention == config_of().timeout_web


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"retention = \n", "is not TOML: Invalid value (at line 1, column 13)"),
        (b"a = 1\na = 2", "is not TOML: Cannot overwrite a value"),
        (b"a = '\xff'", "is not TOML: 'utf-8' codec"),
    ],
)
def test_a_file_that_is_no_toml_says_where(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "given.toml").write_bytes(content)

    with pytest.raises(WrongInput, match=r"the settings file .*given\.toml") as wrong:
        load(tmp_path / "given.toml", {}, {})

    assert said in str(wrong.value)


def test_a_file_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match=r"gone\.toml cannot be read: No such file or directory"):
        load(tmp_path / "gone.toml", {}, {})
    with pytest.raises(WrongInput, match="cannot be read: Is a directory"):
        load(tmp_path, {}, {})


def test_further_settings_go_to_the_clients_under_their_own_names() -> None:
    config = config_of("kafka_linger_ms = 5", {"REDIS_USERNAME": "u", "KAFKA_SASL_PLAIN_PASSWORD": "0123"})

    assert config.kafka == {"linger_ms": 5, "sasl_plain_password": "0123"}
    assert config.redis == {"username": "u"}


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "kafka_security_protocol = 'TLS': expected one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ("KAFKA_COMPRESSION_TYPE", "rar", "kafka_compression_type = 'rar': expected one of gzip, snappy, lz4, zstd"),
        ("KAFKA_SASL_PLAIN_PASWORD", "geheim", "kafka_sasl_plain_pasword (not shown): no option of kafka-python's clients has this name"),
        ("KAFKA_SASL_PASSWORD", "geheim", "kafka_sasl_password (not shown): no option of kafka-python's clients has this name"),
        ("KAFKA_LINGER_MS", "soon", "kafka_linger_ms = 'soon': expected a number"),
        ("KAFKA_ISOLATION_LEVEL", "read_uncommitted", "kafka_isolation_level = 'read_uncommitted': this is set by the projector itself; leave it out"),
        ("REDIS_SOCKET_TIMEOUT", "0", "redis_socket_timeout = '0': expected seconds above zero"),
        ("REDIS_MAX_CONNECTIONS", "many", "redis_max_connections = 'many': expected a whole number"),
        ("REDIS_SOCKET_KEEPALIVE", "perhaps", "redis_socket_keepalive = 'perhaps': expected true or false"),
    ],
)  # fmt: skip
def test_a_wrong_setting_of_a_client_is_named_before_anything_is_asked_of_it(name: str, wrong: str, said: str) -> None:
    assert problems_of("", {name: wrong}) == [said]


@pytest.mark.parametrize("name", ["decode_responses", "retry_on_timeout", "protocol", "foo"])
def test_what_the_protocol_stands_on_in_redis_is_no_setting(name: str) -> None:
    (problem,) = problems_of("", {f"REDIS_{name.upper()}": "true"})

    assert problem.startswith(f"redis_{name} = 'true': this is no setting. There are redis_username, redis_password,")


def test_replicas_to_wait_for_are_settings_of_ours_and_not_the_clients() -> None:
    config = config_of(redis_wait_replicas="2", redis_wait_timeout="250ms", redis_sentinel_password="p")

    assert (config.redis_wait_replicas, config.redis_wait_timeout) == (2, 250)
    assert config.redis == {"sentinel_password": "p"}


def test_every_setting_of_the_list_is_a_member_of_the_config() -> None:
    assert {setting.name for setting in SETTINGS} == set(Config.__struct_fields__) - {"kafka", "redis"}
