"""Programs that use the whole terminal, in one that people use: tmux."""
import contextlib
import os
import shlex
import subprocess
import uuid

import pytest

from shell import Ssh
from waiting import eventually


# Keys that come before a program has the terminal are the shell's.
WAITS = "sh -c 'echo be\"\"gun; exec sleep 1000'"


class Tmux:
    """A terminal in tmux, with one program on it."""

    def __init__(self, person, command, columns=80, rows=24):
        self._words = ["tmux", "-L", f"navigator-{uuid.uuid4().hex[:8]}", "-f", "/dev/null"]
        self._environment = {**person.environment, "LANG": "C.UTF-8", "TERM": "xterm-256color", "TMUX_TMPDIR": str(person.home)}
        self._do("new-session", "-d", "-x", str(columns), "-y", str(rows), f"{command}; echo ended:$?; sleep 60")

    def keys(self, *keys):
        self._do("send-keys", *keys)

    def text(self, text):
        self._do("send-keys", "-l", text)

    def paste(self, data):
        subprocess.run([*self._words, "load-buffer", "-"], input=data, env=self._environment, check=True, timeout=60)
        self._do("paste-buffer")

    def resize(self, columns, rows):
        self._do("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self):
        return self._do("capture-pane", "-p").stdout.decode()

    def shows(self, text):
        eventually(f"{text!r} is shown", lambda: text in self.screen(), 30)

    def end(self):
        self._do("kill-server")

    def _do(self, *words):
        done = subprocess.run([*self._words, *words], env=self._environment, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done


@pytest.fixture(scope="module")
def ssh(person, sandbox):
    return Ssh(person, sandbox)


@pytest.fixture(params=["ssh", "navigator"])
def terminal(request, person, sandbox, ssh):
    """A shell of the sandbox on a terminal, by each way there is."""
    own = [str(person.gateway.binary), "sandbox", "exec", "-t", sandbox.name]
    tmux = Tmux(person, shlex.join(own if request.param == "navigator" else ssh.words("-tt")))
    # Before it, keys are for the terminal of this machine.
    tmux.shows("$")
    tmux.text("PS1='ready> '; clear\n")
    # Spaces at the end of a line are not captured.
    tmux.shows("ready>")
    yield tmux
    tmux.end()


def test_an_editor(terminal, ssh):
    terminal.text("vi -u NONE made.txt\n")
    terminal.shows("~\n")
    terminal.text("iFirst line\nzweite Zeile: grün 表")
    terminal.keys("Escape")
    terminal.text(":wq\n")
    terminal.shows("ready>")
    assert ssh.text("cat made.txt; rm made.txt") == "First line\nzweite Zeile: grün 表"


def test_a_pager_follows_the_size(terminal):
    terminal.text("seq 1000 | less\n")
    terminal.shows("23\n:")
    terminal.resize(100, 40)
    terminal.shows("39\n:")
    terminal.keys("G")
    terminal.shows("1000\n(END)")
    terminal.keys("q")
    terminal.shows("ready>")


def test_a_process_list_that_updates_itself(terminal):
    terminal.text("top -d 0.3\n")
    terminal.shows("%Cpu(s)")
    terminal.keys("q")
    terminal.shows("ready>")


def test_keys_that_are_signals(terminal):
    terminal.text(f"{WAITS}\n")
    terminal.shows("begun")
    terminal.keys("C-c")
    terminal.text("echo code:$?\n")
    terminal.shows("code:130")
    terminal.text(f"{WAITS.replace('gun', 'gan')}\n")
    terminal.shows("began")
    terminal.keys("C-z")
    terminal.shows("Stopped")
    terminal.text("kill -9 %1; echo o''ver\n")
    terminal.shows("over")


def test_much_output(terminal):
    terminal.text("head -c 10000000 /dev/zero | tr '\\0' 'x' | fold -w 79; echo; echo that was all\n")
    terminal.shows("that was all\n")


def test_a_large_paste(terminal, ssh):
    lines = b"".join(b"%07d some text that somebody pastes\n" % number for number in range(25_000))
    assert len(lines) > 900_000
    terminal.text("stty -echo; cat > pasted; stty echo; echo came:$(wc -c < pasted)\n")
    terminal.shows("stty -echo")
    terminal.paste(lines)
    terminal.keys("C-d")
    terminal.shows(f"came:{len(lines)}")
    ssh.run("rm pasted")


def test_text_of_other_languages(terminal):
    terminal.text("printf '%s|' grün 表示 Ω עברית; echo 👩‍🚀\n")
    terminal.shows("grün|表示|Ω|")
