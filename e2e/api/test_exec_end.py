"""Commands end: by time, by signal, by a client that leaves; and slow readers hold up nobody but themselves."""
import pathlib

import grpc

from client import gathered, refused
from leftovers import processes_with
from waiting import eventually
from wire import api

# Bytes that a program writes while nobody reads, and what may be on their way.
WRITTEN = 64 * 1024 * 1024
ON_THE_WAY = 32 * 1024 * 1024


def gone(marker):
    eventually(f"sleep {marker} is gone", lambda: not processes_with(f"sleep {marker}"))


def there(marker, count):
    eventually(f"sleep {marker} runs", lambda: len(processes_with(f"sleep {marker}")) >= count)


def test_output_comes_while_the_command_runs(client, sandbox):
    client.shell(sandbox, "rm -f /sandbox/go")
    events = client.events(sandbox, "sh", "-c", "echo first; until [ -e /sandbox/go ]; do sleep 0.01; done; echo last")
    assert next(events).stdout.data == b"first\n"
    assert client.shell(sandbox, "touch /sandbox/go").code == 0
    assert gathered(events).out == b"last\n"


def test_time_over_gives_124_and_ends_the_whole_group(client, sandbox, marker):
    ran = client.shell(sandbox, f"sleep {marker} & echo begun; sleep {marker}; echo survived", timeout_seconds=1)
    assert (ran.code, ran.out) == (124, b"begun\n")
    gone(marker)


def test_time_over_ends_what_ignores_signals(client, sandbox, marker):
    ran = client.shell(sandbox, f"trap '' TERM INT HUP; sleep {marker} & wait; sleep {marker}", timeout_seconds=1)
    assert ran.code == 124
    gone(marker)


def test_a_command_that_is_in_time_is_not_touched(client, sandbox):
    assert client.shell(sandbox, "echo in time; exit 7", timeout_seconds=4_000_000_000).code == 7


def test_a_client_that_leaves_ends_the_whole_group(client, sandbox, marker):
    events = client.events(sandbox, "sh", "-c", f"sleep {marker} & echo begun; sleep {marker}")
    assert next(events).stdout.data == b"begun\n"
    there(marker, 2)
    events.cancel()
    gone(marker)


def test_a_connection_that_breaks_ends_the_command(gateway, client, sandbox, marker):
    with gateway.owner() as other:
        events = other.events(sandbox, "sh", "-c", f"echo begun; exec sleep {marker}")
        assert next(events).stdout.data == b"begun\n"
        there(marker, 1)
    gone(marker)


def test_a_deadline_of_the_client_ends_the_command(client, sandbox, marker):
    request = api.ExecSandboxRequest(sandbox_id=sandbox.id, command=["sleep", marker])
    with refused(grpc.StatusCode.DEADLINE_EXCEEDED):
        list(client.navigator.ExecSandbox(request, timeout=1))
    gone(marker)


def test_a_reader_that_stops_stops_the_writer(client, sandbox, marker):
    script = f"import os\nfor n in range({WRITTEN // 65536}): os.write(1, bytes(65536))\n# sleep {marker}"
    events = client.events(sandbox, "/usr/bin/python3", "-c", script)
    read = len(next(events).stdout.data)
    (pid,) = eventually("the writer runs", lambda: processes_with(f"sleep {marker}"))
    eventually("the writer waits", lambda: written(pid) == written(pid) and waits(pid))
    assert written(pid) < ON_THE_WAY
    assert client.run(sandbox, "echo", "others go on").text == "others go on"
    ran = gathered(events)
    assert (ran.code, read + len(ran.out)) == (0, WRITTEN)


def written(pid):
    lines = pathlib.Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


def waits(pid):
    """Whether a process sleeps in a write, at two looks with nothing written in between."""
    looks = []
    for _ in range(2):
        call = pathlib.Path(f"/proc/{pid}/syscall").read_text().split()
        looks.append((call[0], written(pid)))
    return looks[0] == looks[1] and looks[0][0] == "1"


def test_processes_that_clients_follow_are_bounded(owner, gateway, marker):
    sandbox = owner.create()
    streams = []
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
        for _ in range(1000):
            streams.append(owner.events(sandbox, "sh", "-c", f"echo begun; exec sleep {marker}"))
            assert next(streams[-1]).stdout.data == b"begun\n"
    assert len(streams) >= 101
    for stream in streams:
        stream.cancel()
    gone(marker)
    assert owner.run(sandbox, "echo", "again").text == "again"
