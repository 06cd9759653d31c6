use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;

use rustix::fs::{CWD, Mode, stat};
use tempfile::TempDir;

use super::*;

/// A root with `/usr/bin/python3.11`, its usual links, and a few scripts.
struct Root {
    dir: TempDir,
    fd: OwnedFd,
}

impl Root {
    fn new() -> Root {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["usr/bin", "opt", "tmp"] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        File::create(dir.path().join("usr/bin/python3.11")).unwrap();
        File::create(dir.path().join("usr/bin/bash")).unwrap();
        symlink("python3.11", dir.path().join("usr/bin/python3")).unwrap();
        symlink("usr/bin", dir.path().join("bin")).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, dir.path(), flags, Mode::empty()).unwrap();
        let root = Root { dir, fd };
        root.write("usr/bin/tool", "#!/usr/bin/python3\n");
        root.write("opt/plain", "#!/usr/bin/python3.11\nprint()\n");
        root.write("opt/option", "#! /bin/python3 -I \n");
        root.write("opt/env", "#!/usr/bin/env python3\n");
        root.write("opt/env-s", "#!/usr/bin/env -S python3 -I -B\n");
        root.write("opt/shell", "#!/usr/bin/bash\n");
        root.write("opt/none", "print()\n");
        root.write("opt/unended", "#!/usr/bin/python3");
        root
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.dir.path().join(path), text).unwrap();
    }

    /// The script of a process that runs `/usr/bin/python3.11` with these words.
    fn script(&self, words: &[&str]) -> Option<String> {
        let python = stat(self.dir.path().join("usr/bin/python3.11")).unwrap();
        let arguments: Vec<u8> = words.iter().flat_map(|word| word.bytes().chain([0])).collect();
        Interpreted {
            root: self.fd.as_fd(),
            executable: file_id(&python),
            environment: b"PATH=/nowhere:/usr/bin\0",
            read_only: &["/usr".to_owned(), "/bin".to_owned()],
        }
        .script(&arguments)
        .map(|script| script.name)
    }
}

#[test]
fn the_script_that_the_kernel_started_is_found() {
    let root = Root::new();
    for (words, script) in [
        (&["/usr/bin/python3.11", "/opt/plain"][..], "/opt/plain"),
        (&["/usr/bin/python3.11", "/opt/plain", "a", "-b"], "/opt/plain"),
        (&["/bin/python3", "-I", "/opt/option"], "/opt/option"),
        (&["python3", "/opt/env", "/opt/plain"], "/opt/env"),
        (&["python3", "-I", "-B", "/opt/env-s"], "/opt/env-s"),
        (&["/usr/bin/python3", "/bin/tool"], "/usr/bin/tool"),
    ] {
        assert_eq!(root.script(words).as_deref(), Some(script), "{words:?}");
    }
}

#[test]
fn a_path_that_is_only_mentioned_gives_no_right() {
    let root = Root::new();
    for words in [
        &["python3"][..],
        &["python3", "/tmp/evil.py", "/opt/plain"],
        &["python3", "-c", "code", "/opt/plain"],
        &["python3", "-c", "/opt/plain"],
        &["python3", "-m", "/opt/plain"],
        &["python3", "evil.py", "/opt/plain"],
        &["python3", "plain"],
        &["python3", "./opt/plain"],
        &["python3", "/opt/../opt/plain"],
        &["python3", "//opt/plain"],
        &["python3", "-", "/opt/plain"],
        &["python3", "", "/opt/plain"],
        &["/opt/plain"],
        &[],
    ] {
        assert_eq!(root.script(words), None, "{words:?}");
    }
}

#[test]
fn a_script_of_another_interpreter_or_with_other_options_is_none() {
    let root = Root::new();
    for words in [
        &["python3", "/opt/shell"][..],
        &["python3", "/opt/none"],
        &["python3", "/opt/unended"],
        &["python3", "/opt/option"],
        &["python3", "-u", "/opt/plain"],
        &["python3", "-B", "-I", "/opt/env-s"],
        &["python3", "/opt/missing"],
        &["python3", "/opt"],
    ] {
        assert_eq!(root.script(words), None, "{words:?}");
    }
}

#[test]
fn a_link_that_the_sandbox_owns_is_not_resolved() {
    let root = Root::new();
    symlink("../opt/plain", root.dir.path().join("tmp/link")).unwrap();
    assert_eq!(root.script(&["python3", "/tmp/link"]).as_deref(), Some("/tmp/link"));
}

#[test]
fn first_lines_are_read_as_the_kernel_reads_them() {
    let path = |path: &str, options: &[&str]| {
        let options = options.iter().map(ToString::to_string).collect();
        Some(FirstLine { program: Program::Path(path.into()), options })
    };
    let env = |name: &str, options: &[&str]| {
        let options = options.iter().map(ToString::to_string).collect();
        Some(FirstLine { program: Program::SearchedByEnv(name.into()), options })
    };
    for (line, expected) in [
        (&b"#!/bin/sh\n"[..], path("/bin/sh", &[])),
        (b"#! \t/bin/sh -e -u \n", path("/bin/sh", &["-e -u"])),
        (b"#!/usr/bin/env node\n", env("node", &[])),
        (b"#!/usr/bin/env -S node --flag\n", env("node", &["--flag"])),
        (b"#!/usr/bin/env -S /opt/node\n", path("/opt/node", &[])),
        (b"#!/usr/bin/env node --flag\n", None),
        (b"#!/usr/bin/env -S A=1 node\n", None),
        (b"#!/usr/bin/env -i node\n", None),
        (b"#!/usr/bin/env\n", None),
        (b"#!sh\n", None),
        (b"#!\n", None),
        (b"#!/bin/sh", None),
        (b"# !/bin/sh\n", None),
        (b"#!/bin/\xff\n", None),
        (b"", None),
    ] {
        assert_eq!(parse_first_line(line), expected, "{}", String::from_utf8_lossy(line));
    }
}
