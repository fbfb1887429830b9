"""The words for what components count, with one meaning each, wherever they are used."""

from .instruments import Description

# Of every component
RUNNING = Description(
    "running", "gauge", "Whether it runs, 1 or 0; of several of one name, how many."
)
REPORTED = Description("reported", "counter", "Errors that it survived and told of.")
UNMEASURED = Description("unmeasured", "counter", "Readings of metrics that failed.")

# Messages that come
RECEIVED = Description("received", "counter", "Messages that came, whatever became of them.")
RECEIVED_BYTES = Description("received_bytes", "counter", "Bytes that came.", "bytes")
HANDLED = Description("handled", "counter", "Messages whose handler succeeded.")
FAILED = Description("failed", "counter", "Messages whose handler raised, or sent in vain.")
HANDLER_ERRORS = Description("handler_errors", "counter", "What handlers and callbacks raised.")
RETRIED = Description("retried", "counter", "Messages that failed and will be handled again.")
PARKED = Description("parked", "counter", "Messages that were put aside as not to be handled.")
DISCARDED = Description("discarded", "counter", "Messages that their handler dropped by a Discard.")
DROPPED = Description("dropped", "counter", "Messages that were lost here, by reason.")
GIVEN_BACK = Description("given_back", "counter", "Messages that were given back to their queue.")
UNMOVED = Description("unmoved", "counter", "Attempts to retry or park a message that failed.")
BACKLOG = Description("backlog", "gauge", "What waits to be begun, or to be sent.")
IN_FLIGHT = Description("in_flight", "gauge", "What is being handled, or not answered yet.")
DURATION = Description("duration", "histogram", "How long messages were handled.", "seconds")

# Messages that go
SENT = Description("sent", "counter", "Messages that were given to the system.")
SENT_BYTES = Description("sent_bytes", "counter", "Bytes that were given to the system.", "bytes")
PUBLISHED = Description("published", "counter", "Messages that were given to the broker.")
CONFIRMED = Description("confirmed", "counter", "Messages that the broker confirmed.")
LATENCY = Description("latency", "histogram", "From sending to the answer.", "seconds")
RETURNED = Description("returned", "counter", "Messages that the broker could not route.")
UNCONFIRMED = Description("unconfirmed", "gauge", "Messages that wait for their confirmation.")

# Connections
UP = Description("up", "gauge", "Whether there is a connection: 1 or 0.")
BLOCKED = Description("blocked", "gauge", "Whether the broker blocks it: 1 or 0.")
READY = Description("ready", "gauge", "Whether everything works now: 1 or 0.")
PARTITIONS = Description("partitions", "gauge", "Parts of a queue that are consumed from here.")
MEMBERS = Description("members", "gauge", "How many share a queue in parts.")
PEERS = Description("peers", "gauge", "Peers that are connected.")
CONNECTED = Description("connected", "counter", "Connections that came up.")
REPLACED = Description("replaced", "counter", "Channels that were replaced, being silent.")
REFUSED = Description("refused", "counter", "Connections closed at once, for want of room.")
HANDSHAKES_FAILED = Description("handshakes_failed", "counter", "TLS handshakes that failed.")
FAULTS = Description("faults", "counter", "Connections that were closed by a fault of the peer.")
UNREACHABLE = Description("unreachable", "counter", "Answers of a host that nobody receives there.")
UNREPORTED = Description("unreported", "counter", "Errors for which on_error was too slow.")

# The embedded broker
QUEUES = Description("queues", "gauge", "Queues that there are.")
CONSUMERS = Description("consumers", "gauge", "Consumers of a queue.")
MEMORY = Description("memory", "gauge", "What messages take that are not settled.", "bytes")

# Calls
CALLS = Description("calls", "counter", "Requests that were made.")
ANSWERED = Description("answered", "counter", "Requests that were answered.")
TIMED_OUT = Description("timed_out", "counter", "Requests whose answer did not come in time.")

# Timers, groups, and the event loop
FIRED = Description("fired", "counter", "Calls that a timer made, since it was started.")
MISSED = Description("missed", "counter", "Ticks of a timer that were skipped.")
OVERLAPPED = Description("overlapped", "counter", "Ticks that came while the last call ran.")
LATENESS = Description("lateness", "histogram", "How late ticks were served.", "seconds")
MAX_LATENESS = Description("max_lateness", "gauge", "The greatest lateness of a timer.", "seconds")
PARTS = Description("parts", "gauge", "Parts of a group, or children of a supervisor, that run.")
RESTARTED = Description("restarted", "counter", "Restarts of children that had failed.")
