//! Which system calls a process in a sandbox cannot make.
//!
//! The list names what opens the kernel wider than a program needs. Most calls answer `EPERM`, as a missing
//! privilege would; a few answer `ENOSYS`, so that programs fall back. Calls of another architecture end the
//! process: their numbers mean other calls.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

use crate::ids::IdMap;
use crate::spec::Network;

/// Calls that fail with `EPERM` whatever their arguments.
const REFUSED: &[libc::c_long] = &[
    // Mounts and roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    SYS_QUOTACTL_FD,
    SYS_OPEN_TREE_ATTR,
    // Namespaces.
    libc::SYS_unshare,
    libc::SYS_setns,
    // Kernel code and the machine.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    // Large kernel interfaces with a record of holes.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    // Other processes, and files without a path.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
];

/// Calls of x86 that open the machine's ports and old segments.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[libc::c_long] =
    &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS__sysctl, libc::SYS_ustat];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[];

/// quotactl_fd(2) and open_tree_attr(2), which libc does not name; equal on every architecture.
const SYS_QUOTACTL_FD: libc::c_long = 443;
const SYS_OPEN_TREE_ATTR: libc::c_long = 467;

/// Calls that fail with `ENOSYS`: the flags of clone3 and the mode of openat2 are behind a pointer that a filter cannot
/// follow, and libraries fall back to clone(2) and openat(2), where it can see them.
const UNKNOWN: &[libc::c_long] = &[libc::SYS_clone3, libc::SYS_openat2];

/// fchmodat2(2), which libc does not name everywhere; equal on every architecture.
const SYS_FCHMODAT2: libc::c_long = 452;
/// Calls that set the mode of a file, and which argument that is.
const MODES: &[(libc::c_long, u8)] = &[
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (SYS_FCHMODAT2, 2),
    (libc::SYS_mknodat, 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, 1),
];
/// Calls that may make a file: which arguments are the flags and the mode.
const OPENS: &[(libc::c_long, u8, u8)] = &[
    (libc::SYS_openat, 2, 3),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 1, 2),
];

const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// `TIOCSTI` types into a terminal for somebody else; `TIOCLINUX` does so on a console; `TIOCSETD` loads
/// kernel modules for a terminal.
const TERMINAL_REQUESTS: [u64; 3] = [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCSETD];

/// A filter that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("failed to make the system-call filter")]
pub(crate) struct FilterError(#[from] BackendError);

/// The programs to load, in this order, into each process.
pub(crate) struct Filters(Vec<BpfProgram>);

impl Filters {
    /// Makes the filters for a sandbox with or without IP sockets, and with these ids.
    pub(crate) fn new(network: &Network, ids: IdMap) -> Result<Self, FilterError> {
        let refused = SeccompAction::Errno(libc::EPERM as u32);
        let unknown = SeccompAction::Errno(libc::ENOSYS as u32);
        let mut programs = vec![
            program(refusals(network, ids)?, refused)?,
            program(UNKNOWN.iter().map(|call| (*call, vec![])).collect(), unknown)?,
        ];
        if let Some(guard) = foreign_numbers() {
            programs.push(guard);
        }
        Ok(Self(programs))
    }

    /// Applies every filter to this thread, for good. Allocates nothing.
    pub(crate) fn apply(&self) -> Result<(), i32> {
        for program in &self.0 {
            seccompiler::apply_filter(program).map_err(|_| crate::sys::errno())?;
        }
        Ok(())
    }
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn program(rules: Rules, action: SeccompAction) -> Result<BpfProgram, BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::Allow, action, arch)?.try_into()
}

fn refusals(network: &Network, ids: IdMap) -> Result<Rules, BackendError> {
    let mut rules: Rules = REFUSED.iter().chain(REFUSED_HERE).map(|call| (*call, vec![])).collect();
    rules.insert(libc::SYS_clone, clone_rules()?);
    let requests = TERMINAL_REQUESTS
        .iter()
        .map(|request| {
            rule(vec![condition(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, *request)?])
        })
        .collect::<Result<_, _>>()?;
    rules.insert(libc::SYS_ioctl, requests);
    rules.insert(libc::SYS_personality, vec![fixed_addresses()?]);
    rules.insert(libc::SYS_socket, socket_rules(network)?);
    rules.insert(libc::SYS_fcntl, vec![lease()?]);
    rules.insert(libc::SYS_prlimit64, vec![limits_of_others()?]);
    for (call, mode) in MODES {
        let asks = set_ids(*mode, ids)?.into_iter().map(|asks| rule(vec![asks]));
        rules.insert(*call, asks.collect::<Result<_, _>>()?);
    }
    for (call, flags, mode) in OPENS {
        // Without one of these the mode is not looked at and may be anything; O_TMPFILE is a bit of its own and
        // O_DIRECTORY.
        let mut rules_of_call = vec![];
        for bit in [libc::O_CREAT, libc::O_TMPFILE & !libc::O_DIRECTORY].map(|bit| bit as u64) {
            for asks in set_ids(*mode, ids)? {
                let makes = SeccompCmpOp::MaskedEq(bit);
                let makes = condition(*flags, SeccompCmpArgLen::Dword, makes, bit)?;
                rules_of_call.push(rule(vec![makes, asks])?);
            }
        }
        rules.insert(*call, rules_of_call);
    }
    Ok(rules)
}

/// A file that is set-user-id gains nothing here, where mounts ignore that; on the host, where the mounted directory
/// and its owner are the same, it is its owner's rights for everybody who runs it. The same holds for groups where root
/// starts sandboxes and the group may be any; there, directories cannot be set-group-id either, because a filter does
/// not see what a path is. An ordinary user's files can only be of that user's own group.
fn set_ids(mode: u8, ids: IdMap) -> Result<Vec<SeccompCondition>, BackendError> {
    let bits = match ids {
        IdMap::Range { .. } => &[libc::S_ISUID, libc::S_ISGID][..],
        IdMap::Single { .. } => &[libc::S_ISUID][..],
    };
    let asks = |bit: &libc::mode_t| {
        let bit = u64::from(*bit);
        condition(mode, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bit), bit)
    };
    bits.iter().map(asks).collect()
}

/// Limits of a process are those of everybody with its user id to set, and where an ordinary user starts sandboxes that
/// is init's as well (prlimit(2)). 0 is the process itself.
fn limits_of_others() -> Result<SeccompRule, BackendError> {
    rule(vec![condition(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, 0)?])
}

/// Whoever opens or runs a leased file waits for its holder, and init waits for the program that it starts.
fn lease() -> Result<SeccompRule, BackendError> {
    const F_SETLEASE: u64 = libc::F_SETLEASE as u64;
    rule(vec![condition(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, F_SETLEASE)?])
}

/// One rule per namespace flag: a filter can test for a bit only by comparing under a mask.
fn clone_rules() -> Result<Vec<SeccompRule>, BackendError> {
    (0..u64::BITS)
        .map(|bit| 1 << bit)
        .filter(|bit| NAMESPACES & bit != 0)
        .map(|bit| {
            rule(vec![condition(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(bit), bit)?])
        })
        .collect()
}

/// A program whose stack is not at a random place could pass for another one. All ones only asks.
fn fixed_addresses() -> Result<SeccompRule, BackendError> {
    const ADDR_NO_RANDOMIZE: u64 = libc::ADDR_NO_RANDOMIZE as u64;
    let asks = condition(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, u64::from(u32::MAX))?;
    let fixes = SeccompCmpOp::MaskedEq(ADDR_NO_RANDOMIZE);
    rule(vec![asks, condition(0, SeccompCmpArgLen::Dword, fixes, ADDR_NO_RANDOMIZE)?])
}

/// Only unix sockets and, where the network is captured, TCP and UDP.
fn socket_rules(network: &Network) -> Result<Vec<SeccompRule>, BackendError> {
    const TYPE_MASK: u64 = 0xf;
    let dword = SeccompCmpArgLen::Dword;
    let unix = libc::AF_UNIX as u64;
    let inet: &[i32] = match network {
        Network::None => &[],
        Network::Captured { .. } => &[libc::AF_INET, libc::AF_INET6],
    };
    let mut other_family = vec![condition(0, dword.clone(), SeccompCmpOp::Ne, unix)?];
    for family in inet {
        other_family.push(condition(0, dword.clone(), SeccompCmpOp::Ne, *family as u64)?);
    }
    let mut rules = vec![rule(other_family)?];
    let types = [libc::SOCK_STREAM as u64, libc::SOCK_DGRAM as u64];
    let protocols = [0, libc::IPPROTO_TCP as u64, libc::IPPROTO_UDP as u64];
    for family in inet {
        let is_family = condition(0, dword.clone(), SeccompCmpOp::Eq, *family as u64)?;
        for kind in (0..=TYPE_MASK).filter(|kind| !types.contains(kind)) {
            let masked = SeccompCmpOp::MaskedEq(TYPE_MASK);
            rules.push(rule(vec![is_family.clone(), condition(1, dword.clone(), masked, kind)?])?);
        }
        let mut other_protocol = vec![is_family];
        for protocol in protocols {
            other_protocol.push(condition(2, dword.clone(), SeccompCmpOp::Ne, protocol)?);
        }
        rules.push(rule(other_protocol)?);
    }
    Ok(rules)
}

fn condition(
    argument: u8,
    length: SeccompCmpArgLen,
    op: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, length, op, value)
}

fn rule(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions)
}

/// Ends a process that uses x32 numbers: they carry the native architecture's mark and are not its calls.
#[cfg(target_arch = "x86_64")]
fn foreign_numbers() -> Option<BpfProgram> {
    const X32: u32 = 0x4000_0000;
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let at_least = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    Some(vec![
        // Offset 0 of struct seccomp_data is the call's number.
        sock_filter { code: load, jt: 0, jf: 0, k: 0 },
        sock_filter { code: at_least, jt: 0, jf: 1, k: X32 },
        sock_filter { code: answer, jt: 0, jf: 0, k: libc::SECCOMP_RET_KILL_PROCESS },
        sock_filter { code: answer, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
    ])
}
#[cfg(not(target_arch = "x86_64"))]
fn foreign_numbers() -> Option<BpfProgram> {
    None
}
