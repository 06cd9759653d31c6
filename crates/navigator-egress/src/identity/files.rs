//! Which files the programs of a learning run use: every one that they open, start or ask about while they wait.
//!
//! Nothing is decided by this. A file that could not be told is missing in what is learned, never a right more.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{FileType, OFlags, fstat, readlinkat};

use super::Identifier;
use super::elf::dynamic_linker;
use super::error::IdentityError;
use super::executable::open_inside;
use crate::gate::{Call, Named, Waiting};
use crate::learning::Learning;

/// Links that one path may lead over (`path_resolution(7)`).
const MAX_LINKS: usize = 40;
/// What every sandbox has of its own, whatever its policy lists.
const OWN: [&str; 4] = ["/proc", "/dev", "/tmp", "/sandbox"];

/// What a path leads to.
struct Found {
    path: String,
    kind: FileType,
    /// The links on the way.
    links: Vec<String>,
}

impl Identifier {
    /// Notes what a waiting call names, and which files the program itself is made of.
    pub(crate) fn observe(&self, learning: &Learning, waiting: &Waiting) {
        let (named, opens) = match waiting.call {
            Call::Connect(_) => return,
            Call::Exec(named) | Call::Open(named) => (named, true),
            Call::Look(named) => (named, false),
        };
        if let Err(error) = self.note(learning, waiting, named, opens) {
            tracing::debug!(%error, "a file that a program uses was not noted");
        }
    }

    fn note(
        &self,
        learning: &Learning,
        waiting: &Waiting,
        named: Named,
        opens: bool,
    ) -> Result<(), IdentityError> {
        let inside = self.outside.inside(waiting.thread)?;
        self.note_image(learning, inside.process)?;
        let text = self.outside.text(waiting.thread, named.pointer)?;
        let path = if text.starts_with('/') {
            text
        } else {
            let base = match named.directory {
                Some(descriptor) => self.proc.link(inside.thread, &format!("fd/{descriptor}"))?,
                None => self.proc.link(inside.thread, "cwd")?,
            };
            format!("{base}/{text}")
        };
        if learning.is_new_name(&path, opens)
            && let Some(file) = self.note_path(learning, &path, opens)
            && matches!(waiting.call, Call::Exec(_))
            && let Some(interpreter) = interpreter(&file)
        {
            self.note_path(learning, &interpreter, true);
        }
        Ok(())
    }

    /// The kernel itself opens a program, its interpreter and the dynamic linker: they are seen as what is mapped
    /// when the program makes its first call.
    fn note_image(&self, learning: &Learning, process: u32) -> Result<(), IdentityError> {
        let stat = self.proc.stat(process)?;
        if stat.is_unchanged_fork || !learning.is_new_image((process, stat.started, stat.stack)) {
            return Ok(());
        }
        let program = self.proc.link(process, "exe")?;
        if let Some(file) = self.note_path(learning, &program, true)
            && let Some(linker) = dynamic_linker(&file)
        {
            self.note_path(learning, &linker, true);
        }
        let maps = self.proc.mappings(process)?;
        for line in String::from_utf8_lossy(&maps).lines() {
            if let Some(at) = line.find(" /") {
                self.note_path(learning, line.get(at + 1..).unwrap_or_default(), true);
            }
        }
        Ok(())
    }

    /// A directory is needed for itself only by whoever lists it; that it exists follows from what is in it. Returns
    /// the file when it is one.
    fn note_path(&self, learning: &Learning, path: &str, opens: bool) -> Option<File> {
        let executables =
            self.executables.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let found = resolve(executables.root(), path)?;
        let file = (found.kind == FileType::RegularFile)
            .then(|| open_inside(executables.root(), &found.path, OFlags::RDONLY).ok())
            .flatten();
        drop(executables);
        // Links of the top directory, such as `/bin`, are there in any case, and to list one grants what it leads to.
        for link in found.links.into_iter().filter(|link| link.matches('/').count() > 1) {
            learning.note_file(link);
        }
        if opens || found.kind != FileType::Directory {
            learning.note_file(found.path);
        }
        file.map(File::from)
    }
}

/// The interpreter that a script's first line names; the kernel opens it by that name.
fn interpreter(script: &File) -> Option<String> {
    let mut line = [0u8; 256];
    let length = script.read_at(&mut line, 0).ok()?;
    let line = line.get(..length)?.strip_prefix(b"#!")?;
    let line = std::str::from_utf8(line.split(|byte| *byte == b'\n').next()?).ok()?;
    line.split_ascii_whitespace().next().map(str::to_owned)
}

/// Follows a path from link to link inside the root; `None` for what is not there or is the sandbox's own.
fn resolve(root: BorrowedFd<'_>, path: &str) -> Option<Found> {
    let mut rest: VecDeque<String> = path.split('/').map(str::to_owned).collect();
    let (mut real, mut links, mut kind) = (String::new(), Vec::new(), FileType::Directory);
    while let Some(name) = rest.pop_front() {
        match name.as_str() {
            "" | "." => continue,
            ".." => {
                real.truncate(real.rfind('/').unwrap_or(0));
                continue;
            }
            _ => {}
        }
        let candidate = format!("{real}/{name}");
        if OWN.contains(&candidate.as_str()) {
            return None;
        }
        let file = open_inside(root, &candidate, OFlags::PATH | OFlags::NOFOLLOW).ok()?;
        kind = FileType::from_raw_mode(fstat(&file).ok()?.st_mode);
        if kind != FileType::Symlink {
            real = candidate;
            continue;
        }
        let target = readlinkat(&file, "", Vec::new()).ok()?.into_string().ok()?;
        links.push(candidate);
        if links.len() > MAX_LINKS {
            return None;
        }
        if target.starts_with('/') {
            real.clear();
        }
        for part in target.rsplit('/') {
            rest.push_front(part.to_owned());
        }
    }
    (!real.is_empty()).then_some(Found { path: real, kind, links })
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, Mode, openat};

    use super::*;

    fn found(path: &str) -> Option<(String, Vec<String>)> {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("usr/bin")).unwrap();
        std::fs::create_dir(at("etc")).unwrap();
        std::fs::write(at("usr/bin/mawk"), "").unwrap();
        std::os::unix::fs::symlink("usr/bin", at("bin")).unwrap();
        std::os::unix::fs::symlink("/etc/awk", at("usr/bin/awk")).unwrap();
        std::os::unix::fs::symlink("/usr/bin/../bin/mawk", at("etc/awk")).unwrap();
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        let root = openat(CWD, dir.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        resolve(std::os::fd::AsFd::as_fd(&root), path).map(|found| (found.path, found.links))
    }

    #[test]
    fn every_link_on_the_way_is_found() {
        let (path, links) = found("/bin/awk").unwrap();
        assert_eq!(path, "/usr/bin/mawk");
        assert_eq!(links, ["/bin", "/usr/bin/awk", "/etc/awk"]);
        assert_eq!(found("//usr/./bin/../bin/mawk").unwrap().0, "/usr/bin/mawk");
    }

    #[test]
    fn what_is_not_there_or_our_own_is_nothing() {
        for path in ["/missing", "/loop", "/", "/..", "/proc/self/exe", "/tmp/x", "/dev/null"] {
            assert!(found(path).is_none(), "{path}");
        }
    }
}
