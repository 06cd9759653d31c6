"""OpenSSH's own programs, through a gateway with mutual TLS."""
import concurrent.futures
import hashlib
import os
import socket
import threading
import urllib.request

import pytest

from shell import Ssh, sleeping
from waiting import eventually

BIG = 50 << 20
# Keys that come before a program has the terminal are the shell's.
WAITS = "sh -c 'echo be\"\"gun; exec sleep 1000'"


@pytest.fixture(scope="module")
def ssh(person, sandbox):
    return Ssh(person, sandbox)


def test_a_command_line_runs_in_a_login_shell(ssh):
    assert ssh.text("id -un; pwd; shopt -q login_shell && echo login") == "sandbox\n/sandbox\nlogin"


def test_output_and_errors_stay_apart(ssh):
    done = ssh.run("echo out; echo err >&2")
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")


@pytest.mark.parametrize("command, code", [("exit 0", 0), ("exit 7", 7), ("no-such-program", 127), ("kill -9 $$", 255)])
def test_the_end_is_told(ssh, command, code):
    assert ssh.run(command, check=False).returncode == code


def test_input_arrives_whole_and_ends(ssh):
    sent = os.urandom(BIG)
    assert ssh.run("sha256sum", input=sent).stdout.split()[0].decode() == hashlib.sha256(sent).hexdigest()


def test_output_arrives_whole(ssh):
    done = ssh.run(f"head -c {BIG} /dev/zero | tee /dev/stderr 2>/dev/null | cat")
    assert len(done.stdout) == BIG


def test_only_named_variables_are_taken(ssh):
    options = ["-o", "SetEnv=LC_TEST=1 LD_PRELOAD=/x PATH=/x BASH_ENV=/x"]
    assert ssh.text("echo $LC_TEST; echo ${LD_PRELOAD-none} ${BASH_ENV-none}", options) == "1\nnone none"
    assert ssh.text("echo $PATH", options) == ssh.text("echo $PATH")


def test_a_shell_has_a_terminal(ssh):
    with ssh.terminal(rows=33, columns=101) as screen:
        screen.type("stty size; echo $TERM; tty\n")
        screen.until("33 101\r\n")
        screen.until("xterm-256color\r\n/dev/pts/")
        screen.resize(44, 55)
        screen.type("sleep 0.2; stty size\n")
        screen.until("44 55\r\n")
        screen.type("exit 5\n")
        assert screen.end() == 5


def test_signals_are_typed(ssh):
    with ssh.terminal() as screen:
        screen.until("$ ")
        screen.type(f"{WAITS}; echo ended:$?\n")
        screen.until("begun\r\n")
        screen.type("\x03")
        screen.until("$ ")
        screen.type(f"{WAITS}\n")
        screen.until("begun\r\n")
        screen.type("\x1a")
        screen.until("Stopped")
        screen.type("kill -9 %1; exit 6\n")
        screen.type("exit 6\n")
        assert screen.end() == 6


def test_a_command_on_a_terminal(ssh):
    with ssh.terminal("test -t 0 && test -t 1 && echo both; exit 3") as screen:
        screen.until("both\r\n")
        assert screen.end() == 3


def test_what_a_shell_left_in_the_background_goes_on(ssh):
    ssh.run("nohup sh -c 'sleep 1; echo done > /sandbox/left' > /dev/null 2>&1 < /dev/null &")
    eventually("it has gone on", lambda: ssh.text("cat /sandbox/left 2>/dev/null || true") == "done")


def test_everything_ends_when_the_client_is_gone(ssh, marker):
    process = ssh.start(f"sleep {marker} & sleep {marker}")
    eventually("both run", lambda: len(sleeping(marker)) == 2)
    process.kill()
    process.communicate(timeout=20)
    eventually("both have ended", lambda: not sleeping(marker))


def test_a_port_of_the_sandbox_is_forwarded(ssh):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = "cd /sandbox && echo page > page && exec python3 -m http.server --bind 127.0.0.1 8123 2>/dev/null"
    process = ssh.start(serve, options=["-L", f"{port}:127.0.0.1:8123", "-o", "ExitOnForwardFailure=yes"])
    try:

        def page():
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/page", timeout=10).read()
            except OSError:
                return None

        assert eventually("the page is there", page) == b"page\n"
    finally:
        process.kill()
        process.communicate(timeout=20)


@pytest.mark.parametrize("target", ["10.0.0.1:80", "169.254.169.254:80", "example.com:443", "0.0.0.0:22", "10.200.0.1:3128"])
def test_nothing_else_is_forwarded(ssh, target):
    done = ssh.run(options=["-W", target], check=False)
    assert done.returncode != 0 and b"administratively prohibited" in done.stderr, done.stderr


def test_a_port_of_this_machine_is_forwarded_on_loopback(ssh):
    server = socket.create_server(("127.0.0.1", 0))

    def answer():
        stream, _ = server.accept()
        with stream:
            stream.sendall(b"from outside")

    threading.Thread(target=answer, daemon=True).start()
    remote = f"-R127.0.0.1:8456:127.0.0.1:{server.getsockname()[1]}"
    fetch = "exec 3<>/dev/tcp/127.0.0.1/8456 && cat <&3"
    done = ssh.run(f"bash -c '{fetch}'", options=[remote, "-o", "ExitOnForwardFailure=yes"])
    server.close()
    assert done.stdout == b"from outside"


@pytest.mark.parametrize("at", ["0.0.0.0", "*", "10.200.0.1", ""])
def test_nobody_listens_elsewhere(ssh, at):
    options = [f"-R{at}:8457:127.0.0.1:1", "-o", "ExitOnForwardFailure=yes"]
    done = ssh.run("true", options=options, check=False)
    assert done.returncode == 255 and b"forwarding failed" in done.stderr, done.stderr


def test_one_connection_carries_many_sessions(ssh, person):
    control = ["-o", f"ControlPath={person.home}/control-%C"]
    ssh.run("true", options=[*control, "-o", "ControlMaster=yes", "-o", "ControlPersist=60"])
    try:
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            done = list(pool.map(lambda number: ssh.text(f"sleep 0.2; echo {number}", control), range(20)))
        assert done == [str(number) for number in range(20)]
    finally:
        ssh.run(options=[*control, "-O", "exit"], check=False)


def test_twenty_connections_at_once(ssh):
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda number: ssh.text(f"echo {number}"), range(20)))
    assert done == [str(number) for number in range(20)]


def test_agents_and_screens_are_not_forwarded(ssh):
    done = ssh.run("echo ${SSH_AUTH_SOCK-none} ${DISPLAY-none}", options=["-A", "-X"])
    assert done.stdout == b"none none\n"


def test_others_than_the_sandboxs_user_are_refused(ssh):
    done = ssh.run("true", options=["-l", "root"], check=False)
    assert done.returncode == 255 and b"denied" in done.stderr.lower(), done.stderr


def test_another_host_key_is_refused(ssh, person, owner):
    other = owner.create()
    key = owner.navigator.CreateSshSession
    from wire import api

    wrong = key(api.CreateSshSessionRequest(sandbox_id=other.id)).host_key
    known = person.home / "wrong"
    known.write_text(f"{ssh.host} {wrong}\n")
    done = ssh.run("true", options=["-o", f"UserKnownHostsFile={known}"], check=False)
    owner.delete(other.name)
    assert done.returncode == 255 and b"Host key verification failed" in done.stderr


def test_the_host_key_stays_when_the_sandbox_is_started_again(person, owner):
    sandbox = owner.create()
    own = Ssh(person, sandbox)
    own.run("true")
    known = next((person.home / "state" / "known_hosts").glob(own.host))
    before = known.read_text()
    owner.stop(sandbox.name)
    owner.start(sandbox.name)
    own.run("true")
    assert known.read_text() == before
    owner.delete(sandbox.name)


def test_git_pushes_and_clones(ssh, person):
    here = person.home / "repository"
    script = f"""
    set -e
    export GIT_SSH_COMMAND="ssh -F {ssh.config}" GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
    git init -q {here}
    cd {here}
    echo content > file
    git add file
    git -c user.name=a -c user.email=a@example.com commit -qm one
    git push -q {ssh.host}:project.git HEAD:refs/heads/main
    git clone -q -b main {ssh.host}:project.git {here}-again
    cat {here}-again/file
    """
    ssh.run("git init -q --bare project.git")
    assert person.tool("sh", "-c", script).stdout == b"content\n"
