"""Writes what is generated: wire types from the definitions in proto/, and the blocking twin of the asyncio code.

`--check` writes nothing and fails when a file is not what it would be.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "navigator"
PROTO = HERE.parent.parent / "proto"
# Those that a client speaks.
DEFINITIONS = ["datamodel", "inference", "navigator", "sandbox"]

# What is said otherwise without asyncio, in this order.
WORDS = [
    (r"Awaitable\[(\w+)\]", r"\1"),
    (r"async with", "with"),
    (r"async for", "for"),
    (r"async def", "def"),
    (r"await ", ""),
    (r"__a(enter|exit|iter|next)__", r"__\1__"),
    (r"\b(contextlib\.)asynccontextmanager", r"\1contextmanager"),
    (r"\bAsync(Iterator|Generator|Iterable)", r"\1"),
    (r"AbstractAsyncContextManager", "AbstractContextManager"),
    (r"\bacl(ose|osing)\b", r"cl\1"),
    (r"navigator\._aio", "navigator._blocking"),
    (r"navigator\.aio", "navigator"),
    (r"import asynchronous as", "import blocking as"),
    (r"AsyncGenerator\[([^\[\]]+), None\]", r"Generator[\1, None, None]"),
]


def wire_types(into: Path) -> dict[str, str]:
    """Texts of the wire types, by path in the package."""
    import grpc_tools

    well_known = Path(str(grpc_tools.__file__)).parent / "_proto"
    names = [f"navigator/{'' if name == 'navigator' else name + '/'}v1/{name}.proto" for name in DEFINITIONS]
    options = [f"-I{PROTO}", f"-I{well_known}", f"--python_out={into}", f"--pyi_out={into}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *options, *names], check=True)
    texts = {"_proto/__init__.py": '"""Generated wire types."""\n'}
    for path in into.rglob("*_pb2.py*"):
        text = re.sub(r"from navigator\.(?:\w+\.)?v1 import", "from . import", path.read_text())
        # What a message may be made of has no type arguments in what the compiler writes.
        texts[f"_proto/{path.name}"] = re.sub(r"(?<!as )_Mapping\b(?!\[)", "_Mapping[str, object]", text)
    return texts


def blocking(text: str) -> str:
    """The blocking twin of asyncio code."""
    for word, other in WORDS:
        text = re.sub(word, other, text)
    return re.sub(r"(\w*)Generator\[([^\[\]]+), None\]", r"\1Generator[\2, None, None]", text)


def twins() -> dict[str, str]:
    """Texts of the blocking code, by path in the package."""
    texts = {}
    for path in sorted((PACKAGE / "_aio").glob("*.py")):
        head = f"# Generated from navigator/_aio/{path.name} by python/tools/generate.py.\n"
        texts[f"_blocking/{path.name}"] = head + blocking(path.read_text())
    init = (PACKAGE / "aio" / "__init__.py").read_text()
    texts["__init__.py"] = "# Generated from navigator/aio/__init__.py by python/tools/generate.py.\n" + blocking(init)
    return texts


def formatted(texts: dict[str, str], into: Path) -> dict[str, str]:
    """The same, as the formatter would have it: lines are shorter without `await`."""
    for name, text in texts.items():
        path = into / "navigator" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    configuration = ["--config", str(HERE.parent / "pyproject.toml")]
    ruff = [sys.executable, "-m", "ruff"]
    subprocess.run([*ruff, "check", "-q", "--fix-only", "--select", "I,F401", *configuration, str(into)], check=True)
    subprocess.run([*ruff, "format", "-q", *configuration, str(into)], check=True)
    return {name: (into / "navigator" / name).read_text() for name in texts}


def main() -> int:
    """Writes, or checks."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true")
    check = arguments.parse_args().check
    with tempfile.TemporaryDirectory() as proto, tempfile.TemporaryDirectory() as code:
        texts = wire_types(Path(proto)) | formatted(twins(), Path(code))
    stale = [name for name, text in texts.items() if not _is(PACKAGE / name, text)]
    known = {"_proto", "_blocking"}
    there = [path.relative_to(PACKAGE) for kind in known for path in (PACKAGE / kind).glob("*.py*")]
    extra = [path for path in there if str(path) not in texts]
    if check:
        for name in [*stale, *map(str, extra)]:
            print(f"{name} is not what {os.path.relpath(__file__)} makes", file=sys.stderr)
        return 1 if stale or extra else 0
    for name in stale:
        (PACKAGE / name).write_text(texts[name])
    for name in extra:
        (PACKAGE / name).unlink()
    return 0


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
