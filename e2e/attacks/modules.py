"""Loads extension modules that the agent built into interpreters, which must go on working, and asks from there."""
import json, os, shutil, subprocess, sys, sysconfig

CONNECT = "CONNECT pypi.org:443 HTTP/1.1\\r\\nHost: pypi.org:443\\r\\n\\r\\n"

def built(name, source, *options):
    done = subprocess.run(["/usr/bin/gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", name, *options], input=source, text=True,
                          capture_output=True, env={"PATH": "/usr/bin:/bin"})
    return done.returncode == 0

def run(argv, **options):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, **options)
    return done.stdout.strip() or done.stderr.strip()[-300:] or "nothing"

result = {}
PLAIN = "int answer(void) { return 42; }"
ASK = f"""
import socket
s = socket.create_connection(("10.200.0.1", 3128), 10)
s.sendall(b"{CONNECT}")
print("open" if b" 200" in s.recv(100)[:15] else "denied")
"""
gcc = os.path.exists("/usr/bin/gcc") and built("/sandbox/plain.so", PLAIN)
if not gcc:
    print(json.dumps({"all": "skipped: there is no gcc"}))
    raise SystemExit

# A virtual environment with a module of machine code.
include = sysconfig.get_path("include")
subprocess.run([sys.executable, "-m", "venv", "--without-pip", "/sandbox/venv"], check=True)
load = "import ctypes; assert ctypes.CDLL('/sandbox/plain.so').answer() == 42\n"
result["python3 of a virtual environment with a library"] = run(["/sandbox/venv/bin/python3", "-c", load + ASK])
if os.path.exists(include + "/Python.h"):
    module = """
#include <Python.h>
static struct PyModuleDef def = { PyModuleDef_HEAD_INIT, "extension", 0, -1, 0 };
PyMODINIT_FUNC PyInit_extension(void) { return PyModule_Create(&def); }
"""
    place = subprocess.run(["/sandbox/venv/bin/python3", "-c", "import site; print(site.getsitepackages()[0])"],
                           capture_output=True, text=True).stdout.strip()
    assert built(place + "/extension.so", module, "-I" + include)
    result["python3 with an extension module"] = run(["/sandbox/venv/bin/python3", "-c", "import extension\n" + ASK])
else:
    result["python3 with an extension module"] = "skipped: there is no Python.h"

if shutil.which("perl", path="/usr/bin"):
    perl = """
use DynaLoader; use IO::Socket::INET;
DynaLoader::dl_load_file("/sandbox/plain.so") or die "not loaded";
my $s = IO::Socket::INET->new(PeerAddr => "10.200.0.1:3128") or die;
print $s "CONNECT pypi.org:443 HTTP/1.1\\r\\nHost: pypi.org:443\\r\\n\\r\\n"; my $l = <$s>; print $l =~ / 200/ ? "open" : "denied";
"""
    result["perl with a library"] = run(["/usr/bin/perl", "-e", perl])
else:
    result["perl with a library"] = "skipped: there is no perl"

if shutil.which("node", path="/usr/bin"):
    addon = """
typedef struct { int version; unsigned flags; const char *file; void *(*init)(void *, void *); const char *name; void *p; void *r[4]; } module;
static void *init(void *env, void *exports) { return exports; }
static module self = { 1, 0, "addon", init, "addon", 0, { 0 } };
extern void napi_module_register(module *);
__attribute__((constructor)) static void start(void) { napi_module_register(&self); }
"""
    assert built("/sandbox/addon.node", addon)
    node = """
require("/sandbox/addon.node");
const s = require("net").connect(3128, "10.200.0.1", () => s.write("CONNECT pypi.org:443 HTTP/1.1\\r\\nHost: pypi.org:443\\r\\n\\r\\n"));
s.once("data", d => { console.log(String(d).startsWith("HTTP/1.1 200") ? "open" : "denied"); process.exit(0); });
"""
    result["node with an addon"] = run(["/usr/bin/node", "-e", node])
else:
    result["node with an addon"] = "skipped: there is no node"
print(json.dumps(result))
