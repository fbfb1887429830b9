"""What an event loop tells of one connection, or a library of itself, ends no application."""

import pytest

pytestmark = pytest.mark.parametrize("loop", ["asyncio", "uvloop"], indirect=True)

# The application ends by itself when the peer has had its answer, or at a deadline.
PEERS = """
import logging, resource, socket, ssl, struct

async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)

class Log(logging.StreamHandler):
    lines = []
    def emit(self, record):
        self.lines.append(self.format(record))
        super().emit(record)
logging.getLogger("gestalt.runner").addHandler(Log())

def logged(text):
    return lambda: any(text in line for line in Log.lines)
"""


def test_a_protocol_that_fails_on_what_a_peer_sends_costs_that_peer_alone(script):
    process = script(f"""{PEERS}
class Failing(asyncio.Protocol):
    def data_received(self, data):
        raise KeyError(data.decode())
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Failing, "127.0.0.1", 0)
    for n in range(3):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"strange")
        say(f"read {{await reader.read()}}")
        writer.close()
    await until(logged("KeyError: 'strange'"))
    say("goes on")
run(main, loop=LOOP)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["read b''"] * 3 + ["goes on"]


def test_a_datagram_protocol_that_fails_goes_on(script):
    process = script(f"""{PEERS}
received = []
class Failing(asyncio.DatagramProtocol):
    def datagram_received(self, data, address):
        received.append(data)
        if data == b"bad":
            raise KeyError("bad datagram")
async def main():
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Failing, local_addr=("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(transport.get_extra_info("sockname"))
        for data in (b"bad", b"good"):
            sender.send(data)
            await until(lambda: data in received)
    await until(logged("bad datagram"))
    transport.close()
    say("goes on")
run(main, loop=LOOP)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["goes on"]


@pytest.mark.parametrize("method", ["connection_made", "connection_lost", "eof_received"])
def test_a_protocol_that_fails_as_a_peer_comes_and_goes_costs_that_peer_alone(script, method):
    process = script(f"""{PEERS}
class Failing(asyncio.Protocol):
    def {method}(self, *_):
        raise KeyError("{method}")
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Failing, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write_eof()
    await until(logged("KeyError: '{method}'"))
    writer.transport.abort()
    say("goes on")
run(main, loop=LOOP)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["goes on"]


def test_a_protocol_that_cannot_be_made_costs_that_peer_alone(script, loop):
    process = script(f"""{PEERS}
def factory():
    made.append(1)
    raise KeyError("no protocol")
made = []
async def main():
    asyncio.get_running_loop().set_debug(True)
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()):
        await until(logged("no protocol"))
    say("goes on")
run(main, loop=LOOP)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["goes on"]


def test_a_handshake_that_is_none_costs_that_peer_alone_in_debug_mode_too(script, tmp_path):
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "server.pem"
    )
    process = script(f"""{PEERS}
async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain("server.pem")
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0, ssl=context)
    for n in range(3):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"GET / HTTP/1.1\\r\\n\\r\\n")
        try:
            await reader.read()
        except ConnectionError:
            pass
        writer.close()
    say("goes on")
run(main, loop=LOOP, debug=True)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["goes on"]


def test_running_out_of_descriptors_at_accept_does_not_end_the_application(script):
    process = script(f"""{PEERS}
async def main():
    accepted = []
    server = await asyncio.start_server(lambda r, w: accepted.append(w), "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    clients = [socket.socket() for _ in range(3)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used - 1, hard))
    for client in clients:
        client.setblocking(False)
        client.connect_ex(address)
    for _ in range(20):
        await asyncio.sleep(0.01)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    say("goes on")
run(main, loop=LOOP)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["goes on"]


def test_an_accept_that_the_system_refuses_does_not_end_the_application(script, loop):
    if loop == "uvloop":
        pytest.skip("uvloop accepts in C, where no refusal can be put")
    process = script(f"""{PEERS}
import errno
from unittest import mock
async def main():
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    def refuse(_):
        raise OSError(errno.EPERM, "firewall")
    with mock.patch.object(socket.socket, "accept", refuse):
        with socket.create_connection(server.sockets[0].getsockname()):
            await until(logged("firewall"))
    say("goes on")
run(main, loop=LOOP)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["goes on"]


def test_a_handler_of_streams_that_fails_costs_its_peer_alone(script):
    process = script(f"""{PEERS}
async def handle(reader, writer):
    raise KeyError(await reader.readline())
async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"strange\\n")
    say(f"read {{await reader.read()}}")
    writer.close()
    await until(logged("KeyError: b'strange"))
    say("goes on")
run(main, loop=LOOP)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["read b''", "goes on"]


def test_a_librarys_remark_about_itself_is_logged(script):
    process = script(f"""{PEERS}
class Session: pass
async def main():
    # The words of an HTTP client that was not closed.
    context = {{"client_session": Session(), "message": "Unclosed client session"}}
    asyncio.get_running_loop().call_exception_handler(context)
    await until(logged("Unclosed client session"))
    say("goes on")
run(main, loop=LOOP)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["goes on"]


def test_a_flood_of_what_is_survived_does_not_flood_the_log(script):
    process = script(f"""{PEERS}
async def main():
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    for n in range(10_000):
        context = {{"message": f"failed {{n}}", "exception": KeyError(n), "transport": transport}}
        loop.call_exception_handler(context)
    transport.close()
run(main, loop=LOOP)
say(str(len(Log.lines) < 50))
say(str(any("that were left out" in line for line in Log.lines)))
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["True", "True"]


@pytest.mark.parametrize("on_exception", ["'continue'", "decide"])
def test_what_is_survived_is_no_question_for_on_exception(script, on_exception):
    process = script(f"""{PEERS}
def decide(error, context):
    raise error
async def main():
    loop = asyncio.get_running_loop()
    loop.call_exception_handler(
        {{"message": "failed", "exception": KeyError(1), "transport": None}})
    await until(logged("failed"))
    say("goes on")
run(main, loop=LOOP, on_exception={on_exception})
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["goes on"]


BUGS = {
    "callback": "loop.call_soon(fail)",
    "timer": "loop.call_later(0, fail)",
    "reader": "loop.add_reader(pair[0], fail); pair[1].send(b'x')",
    "thread": "threading.Thread(target=loop.call_soon_threadsafe, args=[fail]).start()",
    "signal": "loop.add_signal_handler(signal.SIGUSR1, fail); os.kill(os.getpid(), 10)",
    "task": "asyncio.create_task(wrong())",
    "future": "loop.create_future().set_exception(KeyError('a bug'))",
    "done callback": "asyncio.create_task(asyncio.sleep(0)).add_done_callback(fail)",
    "method of an object": "loop.call_soon(Owner().fail)",
    "words alone": "loop.call_exception_handler({'message': 'KeyError: a bug'})",
}


@pytest.mark.parametrize("bug", BUGS.values(), ids=BUGS.keys())
def test_a_bug_of_the_application_stops_it(script, bug):
    process = script(f"""{PEERS}
def fail(*_):
    raise KeyError("a bug")
class Owner:
    def fail(self): fail()
async def wrong():
    fail()
async def main():
    global pair
    pair = socket.socketpair()
    loop = asyncio.get_running_loop()
    {bug}
    await asyncio.sleep(10)
run(main, loop=LOOP)
    """)
    assert process.end() == 1
    assert "KeyError: " in process.errors
    assert "a bug" in process.errors


def test_a_pending_task_that_vanishes_is_a_bug_and_stops_the_application(script):
    process = script(f"""{PEERS}
import gc
async def wait(future):
    await future
async def main():
    task = asyncio.create_task(wait(asyncio.get_running_loop().create_future()), name="lost")
    await asyncio.sleep(0)
    del task
    gc.collect()
    await asyncio.sleep(10)
run(main, loop=LOOP)
    """)
    assert process.end() == 1
    assert "Task was destroyed but it is pending! (task 'lost')" in process.errors
