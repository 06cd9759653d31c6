//! Host directories that only root can open for a sandbox, with their owner shown as the sandbox's user.
//!
//! An ordinary user's sandbox runs with that user's own id and init opens these directories itself. As root
//! the sandbox has ids of its own, so each mount translates the owner of the mounted directory to the
//! sandbox's user and back (an idmapped mount, mount_setattr(2)); other owners stay strangers. The layers of an image
//! have owners of their own, which are all translated.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, WaitOptions};

use crate::ids::{IdMap, RANGE_LENGTH};
use crate::mounts::{self, MountError};
use crate::spec::{Bind, Layers, SandboxSpec, User};
use crate::sys::{self, Cloned, Depth};

/// A directory that cannot be opened for the sandbox.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It cannot be looked at.
    #[error("failed to open {path}; check that it exists and may be read")]
    Open {
        /// Path on the host.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It cannot be mounted.
    #[error("failed to prepare the mount of {path}")]
    Mount {
        /// Path on the host.
        path: PathBuf,
        /// The step that failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Its filesystem cannot translate owners.
    #[error(
        "failed to show {path} as the sandbox user's own: its filesystem does not support idmapped mounts; \
         run navigator as the user who owns it"
    )]
    NoIdMap {
        /// Path on the host.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Mounts that only the supervisor could open; `None` stands for what init opens itself.
pub(crate) struct Detached {
    /// Those of [`SandboxSpec::mounts`], in their order.
    pub(crate) binds: Vec<Option<OwnedFd>>,
    /// Those of [`Layers::sources`](crate::Layers), in their order.
    pub(crate) layers: Vec<Option<OwnedFd>>,
}

impl Detached {
    /// Opens what init cannot open itself.
    pub(crate) fn open(spec: &SandboxSpec, ids: IdMap) -> Result<Self, BindError> {
        let binds = detach(&spec.mounts(), ids, &spec.user)?;
        let sources = spec.layers().into_iter().flat_map(Layers::sources);
        let layers = sources
            .map(|path| match ids {
                IdMap::Single { .. } => Ok(None),
                IdMap::Range { base } => {
                    let all = Range { disk: 0, host: base, count: RANGE_LENGTH };
                    translated(path, &Translation { uid: all, gid: all }).map(Some)
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { binds, layers })
    }

    /// Every descriptor.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = &OwnedFd> {
        self.binds.iter().chain(&self.layers).flatten()
    }
}

fn detach(binds: &[Bind], ids: IdMap, user: &User) -> Result<Vec<Option<OwnedFd>>, BindError> {
    let one = |disk, host| Range { disk, host, count: 1 };
    binds
        .iter()
        .map(|bind| {
            let path = &bind.source;
            let metadata = std::fs::metadata(path)
                .map_err(|source| BindError::Open { path: path.clone(), source })?;
            match ids {
                IdMap::Single { .. } => Ok(None),
                IdMap::Range { base } => {
                    let translation = Translation {
                        uid: one(metadata.uid(), base + user.uid),
                        gid: one(metadata.gid(), base + user.gid),
                    };
                    translated(path, &translation).map(Some)
                }
            }
        })
        .collect()
}

/// Ids on the filesystem and the host ids that they are shown as.
struct Translation {
    uid: Range,
    gid: Range,
}

/// Some ids that follow each other.
#[derive(Clone, Copy)]
struct Range {
    disk: u32,
    host: u32,
    count: u32,
}

fn translated(path: &Path, translation: &Translation) -> Result<OwnedFd, BindError> {
    let mount = mounts::clone_real(path).map_err(|error: MountError| BindError::Mount {
        path: path.to_owned(),
        source: Box::new(error),
    })?;
    let namespace = namespace(translation)
        .map_err(|source| BindError::Mount { path: path.to_owned(), source: Box::new(source) })?;
    sys::mount_setattr(
        mount.as_fd(),
        libc::MOUNT_ATTR_IDMAP,
        Depth::Below,
        Some(namespace.as_fd()),
    )
    .map_err(|source| BindError::NoIdMap { path: path.to_owned(), source })?;
    Ok(mount)
}

/// A user namespace that holds the translation; it lives as long as the descriptor.
fn namespace(translation: &Translation) -> io::Result<OwnedFd> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    match sys::clone_into(libc::CLONE_NEWUSER as u64, None)? {
        Cloned::Child => {
            drop(writer);
            // Ends when the parent has what it needs, or is gone.
            let ended = rustix::io::read(&reader, &mut [0]);
            sys::exit_now(i32::from(ended.is_err()))
        }
        Cloned::Parent { pid, pidfd } => {
            let result = describe(pid, translation);
            drop(writer);
            rustix::process::pidfd_send_signal(&pidfd, Signal::KILL)?;
            rustix::process::waitpid(Some(pid), WaitOptions::empty())?;
            result
        }
    }
}

fn describe(pid: Pid, translation: &Translation) -> io::Result<OwnedFd> {
    let dir = format!("/proc/{}", pid.as_raw_nonzero());
    let line = |Range { disk, host, count }: Range| format!("{disk} {host} {count}");
    std::fs::write(format!("{dir}/uid_map"), line(translation.uid))?;
    std::fs::write(format!("{dir}/gid_map"), line(translation.gid))?;
    Ok(std::fs::File::open(format!("{dir}/ns/user"))?.into())
}
