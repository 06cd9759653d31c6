//! The Landlock domain that every process of a sandbox lives in.
//!
//! Mounts already hide what was not granted; Landlock says the same again in another part of the kernel, and
//! adds what mounts cannot: no signals and no abstract sockets across the border, no access through `/proc`.
//! Source: landlock(7).

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ::landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, Scope,
};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::spec::{Access, LayerStatus, Network, Requirement, SkippedPath};
use crate::sys;

/// The oldest ABI that package managers work under: without `REFER` no file moves between directories.
const OLDEST: u32 = 2;

/// A domain that cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    /// The kernel has no Landlock, or one that is too old.
    #[error(
        "failed to restrict files: this kernel has Landlock ABI {abi} and {OLDEST} is needed; \
         use Linux 5.19 or newer with `landlock` in its `lsm=` list, or set `landlock.compatibility: best_effort` \
         in the policy to go on with mounts alone"
    )]
    Unsupported { abi: u32 },
    /// The kernel refused a rule.
    #[error("failed to make the Landlock rules")]
    Rules(#[from] RulesetError),
    /// A granted path could not be opened.
    #[error("failed to open {path} for its Landlock rule")]
    Open { path: PathBuf, source: Errno },
}

/// The rules of a sandbox, ready to be applied to processes.
pub(crate) struct Domain {
    ruleset: Option<RulesetCreated>,
}

impl Domain {
    /// Makes the rules. Paths that do not exist are added to `skipped` and weaken nothing else.
    pub(crate) fn new(
        rules: &[(PathBuf, Access)],
        network: &Network,
        requirement: Requirement,
        skipped: &mut Vec<SkippedPath>,
    ) -> Result<(Self, LayerStatus), AccessError> {
        let kernel = sys::landlock_abi();
        let Some(abi) = known_abi(kernel) else {
            return match requirement {
                Requirement::Hard => Err(AccessError::Unsupported { abi: kernel }),
                Requirement::BestEffort => Ok((Self { ruleset: None }, status(kernel))),
            };
        };
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(abi))?;
        if *network == Network::None && kernel >= 4 {
            ruleset = ruleset.handle_access(AccessNet::from_all(abi))?;
        }
        if kernel >= 6 {
            // Signals too: whoever could stop a process that is about to be confined would stop init, which waits for it.
            ruleset = ruleset.scope(Scope::from_all(abi))?;
        }
        let mut created = ruleset.create()?;
        let root = Path::new("/");
        let opened =
            open(root).map_err(|source| AccessError::Open { path: root.to_owned(), source })?;
        created = created.add_rule(PathBeneath::new(opened, AccessFs::ReadDir))?;
        for (path, access) in rules {
            match open(path) {
                Ok(fd) => created = add(created, fd, *access, abi)?,
                // A link appeared since it was looked for, by somebody who shares what is mounted.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => note(skipped, path),
                Err(source) => return Err(AccessError::Open { path: path.clone(), source }),
            }
        }
        Ok((Self { ruleset: Some(created) }, status(kernel)))
    }

    /// A copy that one process can use up.
    pub(crate) fn for_process(&self) -> io::Result<Option<RulesetCreated>> {
        self.ruleset.as_ref().map(RulesetCreated::try_clone).transpose()
    }
}

/// Opens a path that leads over no link.
fn open(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(rustix::fs::CWD, path, flags, Mode::empty(), resolve)
}

fn add(
    ruleset: RulesetCreated,
    fd: OwnedFd,
    access: Access,
    abi: ABI,
) -> Result<RulesetCreated, AccessError> {
    let rights: BitFlags<AccessFs> = match access {
        Access::ReadOnly => AccessFs::from_read(abi),
        Access::ReadWrite => AccessFs::from_all(abi),
    };
    // A file or device cannot have the rights of a directory, and the kernel refuses a rule that says so.
    let is_directory = rustix::fs::fstat(&fd)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
    let rights = if is_directory { rights } else { rights & AccessFs::from_file(abi) };
    Ok(ruleset.add_rule(PathBeneath::new(fd, rights))?)
}

fn note(skipped: &mut Vec<SkippedPath>, path: &Path) {
    // Our own optional fixtures are not the policy's business.
    if path.starts_with("/etc/navigator-tls") || path.starts_with("/etc/navigator") {
        return;
    }
    let reason = "this root does not have it".to_owned();
    skipped.push(SkippedPath { path: path.to_owned(), reason });
}

/// The newest ABI that both the kernel and the library know.
fn known_abi(kernel: u32) -> Option<ABI> {
    Some(match kernel {
        0..OLDEST => return None,
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        6 => ABI::V6,
        7 => ABI::V7,
        8.. => ABI::V8,
    })
}

fn status(kernel: u32) -> LayerStatus {
    let missing = match kernel {
        0..OLDEST => Some("this kernel has no usable Landlock: mounts alone hold files"),
        2 => Some("truncating needs no right before ABI 3; no signal scope before ABI 6"),
        3..=4 => Some("device control needs no right before ABI 5; no signal scope before ABI 6"),
        5 => Some("no signal and abstract socket scope before ABI 6; namespaces hold both"),
        6.. => None,
    };
    LayerStatus {
        layer: "landlock".into(),
        degraded: missing.map(str::to_owned),
        detail: format!("ABI {kernel}"),
    }
}
