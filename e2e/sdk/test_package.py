"""The package itself: what is generated, its types, its wheel, its documents."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
PACKAGE = ROOT / "python"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
# Documents and how many examples they have at least.
DOCUMENTS = {"docs/python.md": 7, "python/README.md": 1}

USER = """
from navigator import ExecChunk, ExecResult, Sandbox, SandboxClient, SandboxRef
from navigator import aio

def double(number: int) -> int:
    return number * 2

with Sandbox() as sandbox:
    result: ExecResult = sandbox.exec(["true"])
    value: int = sandbox.run_python(double, args=(1,))
    for event in sandbox.exec_stream(["true"]):
        code: int | bytes = event.data if isinstance(event, ExecChunk) else event.exit_code
    with sandbox.forward(80) as forward:
        port: int = forward.port

async def main() -> None:
    async with aio.Sandbox() as sandbox:
        result: ExecResult = await sandbox.exec(["true"])
        value: int = await sandbox.run_python(double, args=(1,))
    client = await aio.SandboxClient.from_active_cluster()
    found: list[SandboxRef] = await client.list()
"""


def run(*command, **how):
    """Runs a program, which must succeed, and returns what it prints."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, **how)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """A virtual environment with the built wheel and nothing else but what it needs."""
    directory = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", directory, PACKAGE)
    run(sys.executable, "-m", "venv", directory / "venv")
    (wheel,) = directory.glob("navigator-*.whl")
    run(directory / "venv/bin/pip", "install", "-q", wheel)
    return directory / "venv/bin"


def test_what_is_generated_is_up_to_date():
    run(sys.executable, PACKAGE / "tools/generate.py", "--check")


def test_the_code_is_formatted_and_clean():
    run(sys.executable, "-m", "ruff", "format", "--check", ".", cwd=PACKAGE)
    run(sys.executable, "-m", "ruff", "check", ".", cwd=PACKAGE)


def test_the_types_are_strict(installed, tmp_path):
    mypy = [sys.executable, "-m", "mypy", f"--cache-dir={tmp_path}"]
    run(*mypy, cwd=PACKAGE)
    (tmp_path / "user.py").write_text(USER)
    user = [*mypy, "--strict", "--python-executable", installed / "python", "user.py"]
    run(*user, cwd=tmp_path)
    (tmp_path / "user.py").write_text(USER.replace("code: int | bytes", "code: str"))
    with pytest.raises(AssertionError, match="Incompatible types"):
        run(*user, cwd=tmp_path)


def test_wire_types_are_no_part_of_the_package_that_people_see():
    import navigator
    import navigator.aio

    for module in (navigator, navigator.aio):
        assert all(hasattr(module, name) for name in module.__all__)
        assert not any("_pb2" in getattr(getattr(module, name), "__module__", "") for name in module.__all__)
    assert navigator.__all__ == navigator.aio.__all__


def test_both_twins_have_the_same_methods_with_documents():
    import navigator
    import navigator.aio

    for name in ("SandboxClient", "Sandbox", "SandboxSession", "InferenceRouteClient", "Files", "SandboxPolicy", "Forward"):
        methods = {}
        for module in (navigator, navigator.aio):
            kind = getattr(module, name)
            public = [one for one in dir(kind) if not one.startswith("_")]
            assert all(getattr(kind, one).__doc__ for one in public), name
            methods[module] = public
        assert methods[navigator] == methods[navigator.aio]


def test_the_example_of_the_readme_needs_the_wheel_and_the_program_only(installed, own_machine):
    machine = own_machine(runs=False)
    (example,) = BLOCK.findall((PACKAGE / "README.md").read_text())
    assert len(example.splitlines()) <= 10
    assert run(installed / "python", "-c", example, cwd=machine.base, env=machine.environment) == "Linux\n\n144\n"


def test_the_wheel_has_its_types_and_no_tools(installed):
    script = "import navigator, pathlib; print(*sorted(p.name for p in pathlib.Path(navigator.__file__).parent.iterdir()))"
    names = run(installed / "python", "-c", script, cwd="/").split()
    assert "py.typed" in names and "_inside.py" in names and "tools" not in names
    assert run(installed / "pip", "check", cwd="/").startswith("No broken requirements")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_examples_of_the_documents_run(document, machine, installed):
    examples = BLOCK.findall((ROOT / document).read_text())
    assert len(examples) >= DOCUMENTS[document]
    for example in examples:
        run(installed / "python", "-W", "error", "-c", example, cwd=machine.base, env=machine.environment)
