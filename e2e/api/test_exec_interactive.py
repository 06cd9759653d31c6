"""Commands with streamed input, and with a terminal."""
import queue

import grpc
import pytest

from client import gathered, refused
from leftovers import processes_with
from waiting import eventually
from wire import api


class Conversation:
    """A command that is talked to."""

    def __init__(self, client, **start):
        self._requests = queue.SimpleQueue()
        self.send(start=api.ExecStart(**start))
        self.events = client.navigator.ExecInteractive(iter(self._requests.get, None))
        self._seen = b""

    def send(self, **payload):
        """Sends one message."""
        self._requests.put(api.ExecInteractiveRequest(**payload))

    def type(self, data):
        """Sends input."""
        self.send(stdin=data)

    def end_input(self):
        """Says that no more input comes."""
        self.send(stdin_end=api.ExecStdinEnd())

    def close(self):
        """Sends nothing more."""
        self._requests.put(None)

    def until(self, text):
        """Reads until the output holds a text, and returns what came up to its end."""
        while text not in self._seen:
            event = next(self.events)
            assert event.HasField("stdout"), event
            self._seen += event.stdout.data
        end = self._seen.index(text) + len(text)
        seen, self._seen = self._seen[:end], self._seen[end:]
        return seen

    def rest(self):
        """Reads to the end."""
        ran = gathered(self.events)
        self.close()
        return ran


@pytest.fixture
def talk(client, sandbox):
    """Starts conversations in the shared sandbox."""
    begun = []

    def start(*command, **more):
        begun.append(Conversation(client, **{"sandbox_id": sandbox.id, "command": command, **more}))
        return begun[-1]

    yield start
    for conversation in begun:
        conversation.events.cancel()
        conversation.close()


TERMINAL = api.TerminalSize(rows=33, columns=111)


def test_input_is_passed_on_as_it_comes(talk):
    cat = talk("cat")
    for number in range(20):
        line = b"line %d\n" % number
        cat.type(line)
        assert cat.until(line) == line
    cat.end_input()
    assert cat.rest().code == 0


def test_large_input_comes_whole(talk):
    count = talk("wc", "-c")
    for _ in range(64):
        count.type(b"x" * 65536)
    count.end_input()
    assert count.rest().text == str(64 * 65536)


def test_without_a_terminal_errors_are_apart(talk):
    ran = talk("sh", "-c", "tty; echo err >&2").rest()
    assert (ran.out, ran.err) == (b"not a tty\n", b"err\n")


def test_a_terminal_is_one_of_the_size_and_kind_that_was_asked_for(talk):
    ran = talk("sh", "-c", "tty; stty size; echo $TERM; echo err >&2", terminal=TERMINAL, term="xterm-kitty").rest()
    lines = ran.out.decode().splitlines()
    assert lines[0].startswith("/dev/pts/")
    assert lines[1:] == ["33 111", "xterm-kitty", "err"]
    assert (ran.code, ran.err) == (0, b"")


def test_a_terminal_can_be_resized(talk):
    shell = talk("sh", "-c", "trap 'stty size' WINCH; echo ready; while :; do read x; done", terminal=TERMINAL)
    shell.until(b"ready")
    shell.send(resize=api.TerminalSize(rows=10, columns=20))
    assert b"10 20" in shell.until(b"10 20")


def test_what_is_typed_into_a_terminal_is_seen_and_control_c_interrupts(talk):
    cat = talk("cat", terminal=TERMINAL)
    cat.type(b"hello\n")
    cat.until(b"hello\r\nhello\r\n")
    cat.type(b"\x03")
    assert cat.rest().code == 130


def test_the_end_of_input_ends_a_terminals_reader(talk):
    cat = talk("cat", terminal=TERMINAL)
    cat.type(b"last\n")
    cat.until(b"last\r\nlast\r\n")
    cat.end_input()
    assert cat.rest().code == 0


def test_a_shell_in_a_terminal_controls_its_jobs(talk, marker):
    shell = talk("bash", "--norc", "-i", terminal=TERMINAL, environment={"PS1": "now> "})
    shell.until(b"now> ")
    shell.type(f"sleep {marker}\n".encode())
    eventually("it runs", lambda: processes_with(f"sleep {marker}"))
    shell.type(b"\x1a")
    shell.until(b"Stopped")
    shell.until(b"now> ")
    # A shell warns of jobs that are halted before it leaves them.
    shell.type(b"exit 5\n")
    shell.until(b"stopped jobs")
    shell.type(b"exit 5\n")
    assert shell.rest().code == 5
    eventually("its jobs are gone", lambda: not processes_with(f"sleep {marker}"))


@pytest.mark.parametrize("terminal", [None, TERMINAL])
@pytest.mark.parametrize("signal", [1, 9, 15])
def test_a_signal_reaches_the_whole_group(talk, signal, terminal, marker):
    shell = talk("sh", "-c", f"sleep {marker} & echo ready; wait; sleep {marker}", terminal=terminal)
    shell.until(b"ready")
    shell.send(signal=signal)
    assert shell.rest().code == 128 + signal
    eventually("the group is gone", lambda: not processes_with(f"sleep {marker}"))


def test_a_signal_can_be_handled(talk):
    shell = talk("sh", "-c", "trap 'echo caught; exit 3' USR1; echo ready; while :; do sleep 0.01; done")
    shell.until(b"ready")
    shell.send(signal=10)
    ran = shell.rest()
    assert (ran.code, ran.out.strip()) == (3, b"caught")


def test_time_over_gives_124(talk, marker):
    assert talk("sleep", marker, timeout_seconds=1).rest().code == 124
    eventually("it is gone", lambda: not processes_with(f"sleep {marker}"))


@pytest.mark.parametrize("terminal", [None, TERMINAL])
def test_a_client_that_leaves_ends_the_command(talk, terminal, marker):
    sleep = talk("sh", "-c", f"echo ready; sleep {marker}", terminal=terminal)
    sleep.until(b"ready")
    eventually("it runs", lambda: processes_with(f"sleep {marker}"))
    sleep.events.cancel()
    eventually("it is gone", lambda: not processes_with(f"sleep {marker}"))


def refusal(client, *messages):
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        list(client.navigator.ExecInteractive(iter(messages)))


def test_a_command_is_started_first(client):
    refusal(client)
    refusal(client, api.ExecInteractiveRequest())
    refusal(client, api.ExecInteractiveRequest(stdin=b"x"))
    refusal(client, api.ExecInteractiveRequest(resize=TERMINAL))


@pytest.mark.parametrize("second", [{}, {"start": api.ExecStart(command=["true"])}], ids=["nothing", "start"])
def test_a_command_is_started_once(talk, second):
    cat = talk("cat")
    cat.type(b"x")
    cat.until(b"x")
    cat.send(**second)
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        list(cat.events)


@pytest.mark.parametrize(("rows", "columns"), [(0, 80), (24, 0), (65536, 80), (24, 2**32 - 1)])
def test_a_terminal_has_a_size(client, sandbox, rows, columns):
    size = api.TerminalSize(rows=rows, columns=columns)
    start = api.ExecStart(sandbox_id=sandbox.id, command=["true"], terminal=size)
    refusal(client, api.ExecInteractiveRequest(start=start))


@pytest.mark.parametrize(
    "start",
    [
        {"command": []},
        {"command": ["a\0"]},
        {"command": ["x"], "workdir": "y"},
        {"command": ["x"], "environment": {"A-B": ""}},
        {"command": ["x"], "term": "a\0b", "terminal": TERMINAL},
    ],
    ids=str,
)
def test_what_cannot_be_a_command_is_refused(client, sandbox, start):
    refusal(client, api.ExecInteractiveRequest(start=api.ExecStart(sandbox_id=sandbox.id, **start)))


def test_a_sandbox_that_is_not_there_is_not_found(client):
    start = api.ExecStart(sandbox_id="00000000-0000-0000-0000-000000000000", command=["true"])
    with refused(grpc.StatusCode.NOT_FOUND):
        list(client.navigator.ExecInteractive(iter([api.ExecInteractiveRequest(start=start)])))
