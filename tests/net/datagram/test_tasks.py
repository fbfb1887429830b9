"""What handlers leave in their context or task reaches no other datagram, and harms none."""

from typing import Any

from gestalt.core import State
from tests.net.datagram.fixtures import StartEndpoint
from tests.net.fixtures import Within
from tests.net.leaving import KINDS, LEAVING, WAYS, Failing, Leaving, Seen, Staying, taken_by
from tests.support.waiting import until


@KINDS
async def test_what_a_handler_sets_in_its_context_no_other_sees(
    endpoint: StartEndpoint, within: Within, options: dict[str, Any]
) -> None:
    senders = [await endpoint() for _ in range(3)]
    for way in WAYS:
        kept = Seen()
        receiver = await endpoint(**taken_by(getattr(kept, way), options))
        for count in range(1, 4):
            for sender in senders:
                await sender.send(b"x", to=receiver.address)
            await within(until(lambda stats=receiver.stats, n=count * 3: stats.received == n))
        await receiver.stop()
        assert {found for _, found in kept.found} == {None}
        assert len(kept.found) >= (3 if "in_batches" in options else 9)


@KINDS
async def test_what_a_handler_leaves_in_its_task_harms_no_other_message(
    endpoint: StartEndpoint, within: Within, options: dict[str, Any]
) -> None:
    sender = await endpoint()
    for leave in LEAVING:
        handler = Leaving(leave)
        receiver = await endpoint(**taken_by(handler, options))
        for number in range(1, 13):
            await sender.send(b"x", to=receiver.address)
            await within(until(lambda stats=receiver.stats, n=number: stats.received == n))
        await receiver.stop()
        assert receiver.stats.failed == receiver.stats.abandoned == 0
        assert handler.handled == 12


@KINDS
async def test_a_handler_that_keeps_its_cancellation_to_itself_does_not_hold_up_a_stop(
    endpoint: StartEndpoint, within: Within, options: dict[str, Any]
) -> None:
    handler = Staying()
    receiver = await endpoint(**taken_by(handler, options))
    sender = await endpoint()
    for number in range(9):
        await sender.send(b"%d" % number, to=receiver.address)
    at_once = options.get("concurrency", 1)
    await within(until(lambda: receiver.stats.received == 9 and handler.begun == at_once))
    # Nothing that still ran after being cancelled is told of.
    await within(receiver.stop(timeout=0))
    assert handler.begun == at_once


@KINDS
async def test_whatever_a_handler_raises_costs_its_own_message_alone(
    endpoint: StartEndpoint, within: Within, options: dict[str, Any]
) -> None:
    handler = Failing()
    receiver = await endpoint(**taken_by(handler, options))
    sender = await endpoint()
    for count, body in enumerate(handler.BODIES, 1):
        await sender.send(body, to=receiver.address)
        await within(until(lambda n=count: receiver.stats.failed + handler.good == n))
    assert handler.good == 2
    assert receiver.state is State.RUNNING
