"""Whatever way one comes in, one finds the same programs."""
import pytest

from shell import Ssh

PATH = "/sandbox/.venv/bin:/app/.venv/bin:/usr/local/bin:/usr/bin:/bin"
# A line that does not look like its own echo.
SHOW = 'echo "is=$PATH=$VIRTUAL_ENV=$UV_PYTHON_INSTALL_DIR=end"'
SHOWN = f"is={PATH}=/sandbox/.venv=/sandbox/.uv/python=end"


@pytest.fixture(scope="module")
def ssh(person, sandbox):
    return Ssh(person, sandbox)


def test_exec_finds_the_writable_environment_first(owner, sandbox):
    assert owner.run(sandbox, "bash", "-c", SHOW).text == SHOWN


def test_the_command_line_finds_the_same(person, sandbox):
    done = person.run("sandbox", "exec", sandbox.name, "--", "bash", "-c", SHOW)
    assert done.stdout.decode().strip() == SHOWN


def test_an_ssh_exec_finds_the_same(ssh):
    assert ssh.text(SHOW) == SHOWN


def test_an_ssh_shell_finds_the_same(ssh):
    with ssh.terminal() as screen:
        screen.type("stty cols 300\n" + SHOW + "\nexit\n")
        screen.until(SHOWN)
        assert screen.end() == 0


@pytest.mark.parametrize("shell", ["bash -i", "bash -l", "bash -li"])
def test_shells_that_are_started_inside_find_the_same(owner, sandbox, shell):
    # They read their files, which must not add anything twice.
    ran = owner.run(sandbox, *shell.split(), "-c", SHOW)
    assert ran.text == SHOWN, ran


def test_the_prompt_says_who_and_where(ssh, owner, sandbox):
    host = owner.run(sandbox, "hostname").text.split(".")[0]
    with ssh.terminal() as screen:
        screen.until(f"sandbox@{host}:~$ ")
        screen.type("exit\n")
        assert screen.end() == 0


@pytest.mark.parametrize(
    "program, path",
    [
        ("python", "/sandbox/.venv/bin/python"),
        ("pip", "/sandbox/.venv/bin/pip"),
        ("uv", "/usr/local/bin/uv"),
        ("claude", "/usr/local/bin/claude"),
        ("node", "/usr/bin/node"),
        ("npm", "/usr/bin/npm"),
        ("git", "/usr/bin/git"),
        ("gh", "/usr/bin/gh"),
        ("curl", "/usr/bin/curl"),
    ],
)
def test_a_program_is_where_the_policy_names_it_and_runs(owner, sandbox, program, path):
    ran = owner.run(sandbox, "bash", "-c", f"command -v {program} && {program} --version")
    assert ran.code == 0 and ran.text.splitlines()[0] == path, ran
    assert any(letter.isdigit() for letter in ran.text.splitlines()[1]), ran
