"""The clients' exceptions, translated where they leave the client: nothing further in knows `kafka.errors`."""

# kafka-python ships no types.
# mypy: disable-error-code="no-untyped-call"

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from kafka.errors import (
    AuthorizationError,
    CommitFailedError,
    CorruptRecordError,
    FencedInstanceIdError,
    IllegalGenerationError,
    InvalidProducerEpochError,
    KafkaConfigurationError,
    KafkaError,
    KafkaTimeoutError,
    LogTruncationError,
    MessageSizeTooLargeError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    ProducerFencedError,
    RebalanceInProgressError,
    RecordListTooLargeError,
    SaslAuthenticationFailedError,
    UnknownMemberIdError,
    UnsupportedCodecError,
)
from kafka.net.compat import KafkaNetClient

from projector.errors import Doubt, Fenced, ProjectorError, Unavailable, WrongInput

_FENCED = (
    ProducerFencedError,
    InvalidProducerEpochError,
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    UnknownMemberIdError,
    RebalanceInProgressError,
)
_MOVED = (OffsetOutOfRangeError, LogTruncationError, NoOffsetForPartitionError)
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_NOT_LET_IN = (AuthorizationError, SaslAuthenticationFailedError)


Client = TypeVar("Client")


def made(client: Callable[..., Client], options: dict[str, Any], what: str, where: str) -> Client:
    """A client that has found its broker; raises as `asking` does.

    What the client had opened when it gives up is closed, for it leaves sockets and a thread behind: a service that
    waits for its broker would sooner or later have no file to open left.
    """
    opened: list[KafkaNetClient] = []

    def keep(*values: Any, **named: Any) -> KafkaNetClient:
        opened.append(KafkaNetClient(*values, **named))
        return opened[-1]

    with asking(what, where):
        try:
            return client(**options, kafka_client=keep)
        except BaseException:
            for one in opened:
                one.close()
            raise


@contextmanager
def asking(what: str, where: str) -> Iterator[None]:
    """Around calls that change nothing: what they cannot have is `Unavailable`, what settings forbid `WrongInput`."""
    try:
        yield
    except _NOT_LET_IN as error:
        raise WrongInput(f"Kafka at {where} does not allow us to {what} ({error}); check security settings") from error
    except (KafkaConfigurationError, ValueError, RuntimeError) as error:
        # RuntimeError: kafka-python's answer to a codec or a security library that is not installed.
        raise WrongInput(f"the Kafka settings do not allow us to {what}: {error}") from error
    except KafkaTimeoutError as error:
        raise Unavailable(
            f"Kafka at {where} did not answer in time when we wanted to {what}: {error}"
            "\nCheck that it runs, and that kafka_bootstrap_servers and the kafka_security_… settings fit it"
        ) from error
    except (KafkaError, OSError) as error:
        raise Unavailable(f"Kafka at {where} did not let us {what}: {error}") from error


@contextmanager
def reading(topic: str) -> Iterator[None]:
    """Around `poll`: a log that moved under us begins a new life."""
    try:
        yield
    except _MOVED as error:
        raise Doubt(f"the log of {topic} no longer holds what was to be read next: {error}") from error
    except CorruptRecordError as error:
        raise Unavailable(
            f"a batch of {topic} cannot be read: {error}; if this stays, the broker's copy is bad"
        ) from error
    except UnsupportedCodecError as error:
        raise WrongInput(f"records of {topic} are compressed in a way that needs a package: {error}") from error
    except _NOT_LET_IN as error:
        raise WrongInput(f"we may not read {topic}: {error}; check the access rules") from error
    except KafkaError as error:
        raise Unavailable(f"{topic} cannot be read: {error}") from error


@contextmanager
def effects(what: str) -> Iterator[None]:
    """Around calls that change something: whatever goes wrong, the outcome is unknown."""
    try:
        yield
    except ProjectorError:
        raise
    except _FENCED as error:
        raise Fenced(f"{what}: somebody else has taken over, or it took too long ({error})") from error
    except TOO_LARGE as error:
        raise Doubt(f"{what}: a record is larger than its topic takes, and will be made smaller") from error
    except _NOT_LET_IN as error:
        raise WrongInput(f"{what}: Kafka does not allow it ({error}); check the access rules") from error
    except Exception as error:
        raise Doubt(f"{what}: {type(error).__name__}: {error}") from error
