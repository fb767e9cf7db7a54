//! Names of error numbers, as container tools write them.

/// Error numbers 1 to 40 and 42 to 133 without gaps (`asm-generic/errno-base.h`, `asm-generic/errno.h`); 41 and 58 are
/// second names.
const NAMES: &str = "\
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV \
    ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE EDEADLK \
    ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP EWOULDBLOCK ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH \
    ENOCSI EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT EDEADLOCK EBFONT ENOSTR ENODATA ETIME ENOSR ENONET ENOPKG \
    EREMOTE ENOLINK EADV ESRMNT ECOMM EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD \
    ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT \
    EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH \
    ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED EHOSTDOWN \
    EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE \
    ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD ENOTRECOVERABLE ERFKILL EHWPOISON";

/// The number of an error, by name.
#[must_use]
pub fn errno(name: &str) -> Option<u16> {
    let number = match name {
        "EWOULDBLOCK" => "EAGAIN",
        "EDEADLOCK" => "EDEADLK",
        "ENOTSUP" => "EOPNOTSUPP",
        other => other,
    };
    NAMES.split(' ').position(|known| known == number).and_then(|index| u16::try_from(index + 1).ok())
}

/// The name of an error number.
#[must_use]
pub fn errno_name(number: u16) -> Option<&'static str> {
    NAMES.split(' ').nth(usize::from(number).checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_kernels() {
        for (name, number) in [
            ("EPERM", libc::EPERM),
            ("EACCES", libc::EACCES),
            ("ENOSYS", libc::ENOSYS),
            ("EWOULDBLOCK", libc::EWOULDBLOCK),
            ("ENOMSG", libc::ENOMSG),
            ("ETIME", libc::ETIME),
            ("ENOTSUP", libc::ENOTSUP),
            ("EAFNOSUPPORT", libc::EAFNOSUPPORT),
            ("ECONNREFUSED", libc::ECONNREFUSED),
            ("EHWPOISON", libc::EHWPOISON),
        ] {
            assert_eq!(errno(name).map(i32::from), Some(number), "{name}");
        }
        assert_eq!(
            (errno_name(1), errno_name(38), errno_name(0), errno_name(134)),
            (Some("EPERM"), Some("ENOSYS"), None, None)
        );
        assert_eq!((errno("eperm"), errno("")), (None, None));
    }
}
