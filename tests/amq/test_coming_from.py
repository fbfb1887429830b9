"""What is told to those who come from other libraries runs as it stands."""

import ast
import asyncio
import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from gestalt.amq import Binding, Bus, BusMessage, Queue, Request, Retry, connect
from gestalt.codecs import Codec, MessageTypes
from gestalt.core import Handlers, Park, RetryLater
from tests.support.missing import without
from tests.support.waiting import until

DOCS = Path(__file__).parents[2] / "docs" / "amq"


@dataclass
class Order:
    id: int


@dataclass
class Receipt:
    order: int


@dataclass
class Item:
    name: str


@dataclass
class Price:
    amount: float


def blocks(page: str, side: str) -> list[str]:
    found = re.findall(
        r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE
    )
    return [block for block in found if block.startswith(f"# {side}\n")]


async def run(block: str, names: dict[str, Any]) -> None:
    code = compile(block, "the page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, names)
    if running is not None:
        await running


def given(url: str) -> dict[str, Any]:
    return {
        "__name__": "page",
        "url": url,
        "billed": [],
        "filed": [],
        "open_warehouse": True,
        **{
            each.__name__: each
            for each in (Binding, BusMessage, Codec, Handlers, MessageTypes, Order, Park, Queue)
        },
        **{each.__name__: each for each in (Request, Retry, RetryLater, connect)},
        **{each.__name__: each for each in (Receipt, Item, Price)},
        "json": json,
        "aio_pika": aio_pika,
    }


async def test_gestalt_in_place_of_aio_pika(broker_url: str) -> None:
    names = given(broker_url)
    programs = blocks("coming-from-aio-pika.md", "Gestalt")
    assert len(programs) == 8
    try:
        for program in programs:
            await run(program, names)
            if "bill" in names and not names["billed"]:
                # What was published before there was a queue is nobody's.
                await names["publisher"].publish({"id": 42}, "order.created")
                await until(lambda: names["billed"] == [42])
        await names["publisher"].publish({"id": -1}, "order.created")
        bus: Bus = names["bus"]
        async with asyncio.timeout(10):
            while not (parked := await bus.parked("shipping").list()):
                await asyncio.sleep(0.02)
        assert parked[0].reason == "no such order"
        await bus.parked("shipping").purge()
    finally:
        await names["bus"].stop()


# aio-pika's RPC declares a queue that RabbitMQ 4.3 refuses: this is for its own code.
@pytest.mark.filterwarnings("default")
async def test_aio_pika_as_it_is_compared(amqp_url: str) -> None:
    names = given(amqp_url)
    programs = blocks("coming-from-aio-pika.md", "aio-pika")
    assert len(programs) == 6
    try:
        for program in programs:
            await run(program, names)
        await names["exchange"].publish(names["message"], "order.created")
        await until(lambda: names["billed"] == [42])
    finally:
        await names["connection"].close()


async def test_gestalt_in_place_of_faststream(broker_url: str) -> None:
    names = given(broker_url)
    programs = blocks("coming-from-faststream.md", "Gestalt")
    assert len(programs) == 7
    before = [each for each in programs if "@bus.responder" in each]
    assert len(before) == 1
    try:
        for program in programs:
            if program in before:
                # It is for a bus that has not started.
                codec = Codec("json", types=names["types"])
                names["bus"], running = connect(broker_url, codec=codec), names["bus"]
                await run(program, names)
                async with names["bus"] as bus:
                    assert await bus.requester("price").request(Item("pen")) == Price(9.5)
                names["bus"] = running
                continue
            await run(program, names)
        await names["publisher"].publish(Order(43), "order.created")
        await names["publisher"].publish(Order(-1), "order.created")
        await until(lambda: {43, -1} <= {*names["billed"]} & {*names["filed"]})
        assert 42 in names["billed"]
        bus = names["bus"]
        async with asyncio.timeout(10):
            while not (parked := await bus.parked("shipping").list()):
                await asyncio.sleep(0.02)
        assert parked[-1].body == Order(-1)
        await bus.parked("shipping").purge()
    finally:
        await names["bus"].stop()


# What FastStream, and what it stands on, leaves open is its own.
@pytest.mark.filterwarnings("default")
async def test_faststream_as_it_is_compared(request: pytest.FixtureRequest, amqp_url: str) -> None:
    if importlib.util.find_spec("faststream") is None:
        without(request.config, "faststream, which docs/amq/coming-from-faststream.md compares")
    names = given(amqp_url)
    programs = [
        each.replace("amqp://guest:guest@localhost/", amqp_url)
        for each in blocks("coming-from-faststream.md", "FastStream")
    ]
    assert len(programs) == 5
    # Subscribers are declared before the start, as it is in a program.
    declaring = [each for each in programs if "@broker.subscriber" in each]
    assert len(declaring) == 3
    for program in declaring:
        await run(program, names)
    await names["app"].start()
    try:
        for program in programs:
            if program not in declaring:
                await run(program, names)
        await names["broker"].publish(
            Order(-1), exchange=names["orders"], routing_key="order.created"
        )
        await until(lambda: names["billed"] == [42, -1])
    finally:
        await names["app"].stop()
