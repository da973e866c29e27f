//! Which system calls there are (Linux, Documentation/userspace-api/seccomp_filter.rst).

use crate::{Error, Needs};
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::OnceLock;
use syscalls::Sysno;

/// The exit status of a process that made a call that it has not.
const STATUS: i32 = 125;

/// Calls on what is open, on memory, on threads, on time: what a VM does while it runs.
const ALWAYS: &[c_long] = &[
    // What is open.
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_fallocate,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_lseek,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_shutdown,
    libc::SYS_socketpair,
    libc::SYS_statx,
    libc::SYS_sync_file_range,
    libc::SYS_write,
    libc::SYS_writev,
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_memfd_create,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Threads and signals.
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_membarrier,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    // Time, and chance.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
];

/// Older forms of calls, which architectures after x86 do not have.
#[cfg(target_arch = "x86_64")]
const OLD: &[c_long] = &[
    libc::SYS_epoll_wait,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_set_tid_address,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[c_long] = &[libc::SYS_set_tid_address];

/// Calls on connections that a guest asks for.
const INTERNET: &[c_long] = &[
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_recvmmsg,
    libc::SYS_sendmmsg,
    libc::SYS_setsockopt,
];

/// Calls that open files. They fail, as Landlock would have it, and do not end the process: the C
/// library's allocator looks into files of `/proc` and `/sys` now and then, and does without.
const OPENING: &[c_long] = &[libc::SYS_openat, libc::SYS_openat2];

/// Calls on files that a guest asks for, which Landlock keeps within their directories.
const DIRECTORIES: &[c_long] = &[
    libc::SYS_faccessat2,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_fstatfs,
    libc::SYS_getdents64,
    libc::SYS_linkat,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_newfstatat,
    libc::SYS_readlinkat,
    libc::SYS_renameat2,
    libc::SYS_symlinkat,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
];

/// What can be asked of a terminal, a pipe or a socket.
const IOCTLS: &[u64] = &[
    libc::TCGETS,
    libc::TCSETS,
    libc::TCSETSW,
    libc::TCSETSF,
    libc::TCGETS2,
    libc::TCSETS2,
    libc::TCSETSW2,
    libc::TCSETSF2,
    libc::TIOCGWINSZ,
    libc::FIONREAD,
    libc::FIONBIO,
];

/// What is told to the kernel or asked of it about the process: a thread's name, and where the kernel
/// put the time functions (PR_GET_AUXV).
const PRCTLS: &[u64] = &[libc::PR_SET_NAME as u64, 0x4155_5856];

fn refused(error: impl std::fmt::Display) -> Error {
    Error::Kernel(error.to_string())
}

/// A rule by which a call is allowed if its argument `index` has, of the bits in `mask`, these.
fn argument(index: u8, mask: u64, value: u64) -> Result<SeccompRule, Error> {
    let condition = SeccompCondition::new(
        index,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(mask),
        value,
    );
    let condition = condition.map_err(refused)?;
    SeccompRule::new(vec![condition]).map_err(refused)
}

fn program(
    rules: BTreeMap<c_long, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    action: SeccompAction,
) -> Result<BpfProgram, Error> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(refused)?;
    SeccompFilter::new(rules, otherwise, action, architecture)
        .and_then(BpfProgram::try_from)
        .map_err(refused)
}

/// The rules: a call that is listed without any is allowed.
fn rules(needs: &Needs) -> Result<BTreeMap<c_long, Vec<SeccompRule>>, Error> {
    const ALL: u64 = u32::MAX as u64;
    let mut calls = [ALWAYS, OLD, OPENING].concat();
    if needs.internet {
        calls.extend(INTERNET);
    }
    if needs.accept {
        calls.push(libc::SYS_accept4);
    }
    if !needs.directories.is_empty() {
        calls.extend(DIRECTORIES);
    }
    let mut rules: BTreeMap<_, _> = calls.into_iter().map(|call| (call, Vec::new())).collect();
    let ioctls = IOCTLS.iter().map(|&request| argument(1, ALL, request));
    rules.insert(libc::SYS_ioctl, ioctls.collect::<Result<_, _>>()?);
    let prctls = PRCTLS.iter().map(|&option| argument(0, ALL, option));
    rules.insert(libc::SYS_prctl, prctls.collect::<Result<_, _>>()?);
    // A thread, not a process.
    let thread = libc::CLONE_THREAD as u64;
    rules.insert(libc::SYS_clone, vec![argument(0, thread, thread)?]);
    // Signals only to this process: a thread that aborts.
    let own = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, vec![argument(0, ALL, own)?]);
    if needs.internet {
        let families = [libc::AF_INET, libc::AF_INET6];
        let families = families.map(|family| argument(0, ALL, family as u64));
        rules.insert(
            libc::SYS_socket,
            families.into_iter().collect::<Result<_, _>>()?,
        );
    }
    Ok(rules)
}

/// From now on no thread of the process makes another system call than those that a running VM needs.
/// One that does ends the process, with status 125, and a line on standard error that names the call;
/// but files just can't be opened.
///
/// # Errors
///
/// The kernel refuses.
pub fn restrict_calls(needs: &Needs) -> Result<(), Error> {
    name_denied_calls()?;
    let errno = |calls: &[c_long], error: i32| {
        let rules = calls.iter().map(|&call| (call, Vec::new())).collect();
        program(
            rules,
            SeccompAction::Allow,
            SeccompAction::Errno(error as u32),
        )
    };
    let mut filters = vec![
        // It takes its flags from memory, which no filter sees: libraries do without, by clone.
        errno(&[libc::SYS_clone3], libc::ENOSYS)?,
    ];
    if needs.directories.is_empty() {
        filters.push(errno(OPENING, libc::EACCES)?);
    }
    // The last, since it has no call to add another.
    filters.push(program(
        rules(needs)?,
        SeccompAction::Trap,
        SeccompAction::Allow,
    )?);
    for filter in &filters {
        seccompiler::apply_filter_all_threads(filter).map_err(refused)?;
    }
    Ok(())
}

static LAST: OnceLock<fn()> = OnceLock::new();

/// What is done, once, before the process is ended for a system call: to give back a terminal, for
/// instance. It runs in a signal handler.
pub fn before_death(last: fn()) {
    let _ = LAST.set(last);
}

/// Prints the name of a call that a filter denied, and ends the process.
fn name_denied_calls() -> Result<(), Error> {
    let handler = |info: &libc::siginfo_t| {
        if let Some(last) = LAST.get() {
            last();
        }
        let number = call_of(info);
        let name = usize::try_from(number).ok().and_then(Sysno::new);
        // Formatted without the heap, whose lock the thread may hold.
        let mut line = [0; 256];
        let room = line.len();
        let mut rest = &mut line[..];
        let _ = writeln!(
            rest,
            "skep: the sandbox ended the VM for the system call {} ({number}): a guest that broke out, \
             or a mistake in Skep; --no-sandbox runs without it",
            name.map_or("?", |name| name.name()),
        );
        let used = room - rest.len();
        // SAFETY: the bytes are there; both calls may be made in a signal handler.
        unsafe {
            libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), used);
            libc::_exit(STATUS);
        }
    };
    // SAFETY: the handler does only what a signal handler may.
    unsafe { signal_hook_registry::register_sigaction(libc::SIGSYS, handler) }
        .map(|_| ())
        .map_err(refused)
}

/// The number of the call that SIGSYS is about: siginfo's si_syscall, which the C library's
/// declaration does not name (sigaction(2)).
fn call_of(info: &libc::siginfo_t) -> i32 {
    /// The beginning of siginfo for SIGSYS.
    #[repr(C)]
    struct Denied {
        signal: [i32; 3],
        address: *const (),
        call: i32,
    }
    // SAFETY: for SIGSYS the kernel has filled these fields; siginfo is longer, and aligned for
    // pointers.
    unsafe { (*std::ptr::from_ref(info).cast::<Denied>()).call }
}
