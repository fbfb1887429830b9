"""Which tests of which peer are run, what they need, and which are left out for what reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_TLS = "the broker of these runs has no TLS port"
_REDIS = "needs Redis"


@dataclass(frozen=True)
class Suite:
    """The tests of one peer.

    Attributes:
        name: the peer's name, which is that of its folder among the sources.
        extras: the extras of its distribution that the tests need.
        requirements: what the tests need beside it.
        arguments: what pytest is called with, in the folder of the sources.
        left_out: expressions of pytest's `-k`, by the reason why such tests are not run.
        environment: variables for the tests.
        seconds: how long the whole suite may take.
        test_seconds: how long one test may take.
    """

    name: str
    arguments: Sequence[str]
    extras: str = ""
    requirements: Sequence[str] = ()
    left_out: Mapping[str, Sequence[str]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 600.0
    test_seconds: float = 60.0


_SUITES = (
    Suite(
        "pika",
        [
            "tests/acceptance/blocking_adapter_test.py",
            "tests/acceptance/async_adapter_tests.py",
            "tests/acceptance/enforce_one_basicget_test.py",
            "tests/acceptance/io_services_tests.py",
            "tests/acceptance/thread_safe_bounded_queue_test.py",
            "tests/acceptance/thread_safe_connection_test.py",
            "tests/acceptance/twisted_adapter_tests.py",
        ],
        extras="gevent,tornado,twisted",
        left_out={_TLS: ["ssl"]},
    ),
    Suite(
        "kombu",
        ["t/integration/test_py_amqp.py", "-E", "py-amqp"],
        requirements=["hypothesis<7", "pytest-freezer", "pytest-rerunfailures", "Pyro4==4.82"],
    ),
    Suite(
        "py-amqp",
        ["t/integration", "-E", "rabbitmq"],
        requirements=["pytest-rerunfailures"],
        left_out={_TLS: ["tls"]},
    ),
    Suite(
        "aiormq",
        ["tests/test_channel.py", "tests/test_connection.py"],
        requirements=["pytest<9", "aiomisc-pytest", "pytest-rst"],
        left_out={_TLS: ["amqps", "ssl"]},
        environment={"AMQP_URL": "amqp://guest:guest@127.0.0.1:5672//"},
        seconds=1200.0,
    ),
    Suite(
        "aio-pika",
        ["tests"],
        requirements=["aiomisc-pytest", "pytest-rst", "shortuuid"],
        left_out={_TLS: ["test_amqps"]},
        seconds=1800.0,
    ),
    Suite(
        "celery",
        [
            "t/integration/test_canvas.py",
            "t/integration/test_inspect.py",
            "t/integration/test_tasks.py",
            "t/integration/test_worker.py",
            "t/integration/test_connection_recovery.py",
            "-p",
            "celery.contrib.pytest",
        ],
        extras="yaml,msgpack,redis,sqlalchemy,auth,django,pydantic",
        requirements=[
            "pytest-rerunfailures",
            "pytest-subtests",
            "pytest-click",
            "pytest-order",
        ],
        left_out={_REDIS: ["redis"]},
        environment={
            "TEST_BROKER": "pyamqp://guest:guest@127.0.0.1:5672//",
            "TEST_BACKEND": "rpc",
        },
        seconds=1800.0,
        test_seconds=120.0,
    ),
    Suite(
        "faststream",
        ["tests/brokers/rabbit", "-m", "rabbit"],
        extras="rabbit,kafka,confluent,nats,redis,mqtt,cli,prometheus,otel",
        requirements=[
            "dirty-equals",
            "httpx",
            "pytest-asyncio",
            "pytest-rerunfailures",
            "freezegun",
            "fastapi",
            "pydantic-settings",
            "PyYAML",
            "email-validator",
            "msgspec",
            "uvicorn",
            "psutil",
        ],
    ),
    Suite(
        "dramatiq",
        ["tests/test_rabbitmq.py"],
        extras="rabbitmq,redis,memcached",
        requirements=["pytest-benchmark", "pytest-cov"],
        left_out={},
    ),
)

SUITES: Mapping[str, Suite] = {suite.name: suite for suite in _SUITES}
