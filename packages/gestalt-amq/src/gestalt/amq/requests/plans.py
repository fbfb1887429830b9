"""What requests need at the broker."""

from dataclasses import replace

from gestalt.amq.plan import Plan, PlannedBinding, PlannedQueue

from . import protocol

# A queue that outlived its responders, with a restart of the broker, vanishes after so long.
QUEUE_EXPIRES = 30.0


def plan_requests() -> Plan:
    """What a requester needs: replies come by no queue."""
    exchanges = protocol.REQUESTS, protocol.INSTANCES
    # The default exchange leads to the responder of a stream.
    return Plan(exchanges, publishes=(*(each.name for each in exchanges), ""))


def plan_service(service: str, *, declare: bool) -> Plan:
    """What the instances of a service need.

    Args:
        service: the name of the service.
        declare: they declare its queue, which goes with the last of them; otherwise others do, and
            it stays.
    """
    name = protocol.request_queue(service)
    queue = PlannedQueue(name, {"x-queue-type": "classic"})
    if declare:
        expires = {"x-expires": round(QUEUE_EXPIRES * 1000)}
        queue = replace(queue, arguments=expires, auto_delete=True, passing=True)
    # Instances bind the queue while they serve: whoever asks at other times is told at once.
    binding = PlannedBinding(protocol.REQUESTS.name, name, service, passing=True)
    plan = Plan(
        (protocol.REQUESTS, protocol.INSTANCES),
        (queue,),
        (binding,),
        publishes=("", protocol.REQUESTS.name),
        consumes=(name,),
    )
    if not declare:
        return plan
    return replace(
        plan,
        exchanges=(*plan.exchanges, protocol.SERVING),
        publishes=(*plan.publishes, protocol.SERVING.name),
        private=True,
        privately=(protocol.INSTANCES.name, protocol.SERVING.name),
    )
