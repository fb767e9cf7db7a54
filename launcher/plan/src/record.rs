//! What the launcher says to the shim: one record of fixed size before GO, and perhaps an error after it.
//!
//! ```text
//! both     magic[4] version:u16 kind:u8 0:u8
//! READY    comm[16] connect:u8 landlock:u8 connect_errno:u16 filters:u16 paths:u16 skipped:u16 0.. skipped rules[128]
//! ERROR    step:u16 errno:u16 detail:u32 0..
//! ```
//!
//! The bytes come out of the container, so they are decoded as if its enemy had written them.

use crate::layout;

/// Bytes of every record; less than PIPE_BUF, so that one write is one record.
pub const RECORD_LEN: usize = 192;
/// Version of the records' format.
pub const VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"zcrd";
const READY: u8 = 1;
const ERROR: u8 = 2;
const BITMAP: usize = layout::MAX_PATHS / 8;
const BITMAP_AT: usize = RECORD_LEN - BITMAP;

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// The launcher is confined and waits for GO.
    Ready(Ready),
    /// A step failed; the launcher ends.
    Error(Failure),
}

/// What a parked launcher announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The name that the launcher took for itself; random, so that its zombie cannot be mistaken for the workload's.
    pub comm: Comm,
    /// Whether the launcher entered a Landlock domain.
    pub landlock: bool,
    /// What became of the connect that must fail.
    pub connect: Connect,
    /// How many filters were loaded.
    pub filters: u16,
    /// How many path rules are in force.
    pub paths: u16,
    /// Which path rules were left out because their path is missing.
    pub skipped: Skipped,
}

/// What became of the connect that must fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connect {
    /// The plan did not ask for it.
    NotTried,
    /// Refused with EACCES by the Landlock domain, as it must be.
    Refused,
    /// The container's own profile refuses the call itself, with this errno: stronger than what was to be shown.
    Stronger(u16),
}

/// A process name as the kernel keeps it: 1 to 15 ASCII letters and digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comm([u8; 16]);

impl Comm {
    /// A random name: 15 letters carry the random number's low 60 bits.
    #[must_use]
    pub fn random(mut bits: u64) -> Self {
        let mut name = [0; 16];
        for byte in name.iter_mut().take(15) {
            *byte = b'a' + (bits & 15) as u8;
            bits >>= 4;
        }
        Self(name)
    }

    /// The name without its terminator.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let length = self.0.iter().position(|&byte| byte == 0).unwrap_or(0);
        self.0.get(..length).unwrap_or(&[])
    }

    /// The name with its terminator, as prctl takes it.
    #[must_use]
    pub fn as_bytes_with_nul(&self) -> &[u8; 16] {
        &self.0
    }

    fn decode(bytes: [u8; 16]) -> Option<Self> {
        let length = bytes.iter().position(|&byte| byte == 0)?;
        let (name, rest) = bytes.split_at_checked(length)?;
        let valid = length > 0 && name.iter().all(u8::is_ascii_alphanumeric) && rest.iter().all(|&byte| byte == 0);
        valid.then_some(Self(bytes))
    }
}

/// A set of path rules, by index in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped([u8; BITMAP]);

impl Default for Skipped {
    fn default() -> Self {
        Self([0; BITMAP])
    }
}

impl Skipped {
    /// Adds the rule `index`; one beyond the plan's bound is not recorded.
    pub fn insert(&mut self, index: usize) {
        if let Some(byte) = self.0.get_mut(index / 8) {
            *byte |= 1 << (index % 8);
        }
    }

    /// Whether the rule `index` was left out.
    #[must_use]
    pub fn contains(&self, index: usize) -> bool {
        self.0.get(index / 8).is_some_and(|byte| byte & (1 << (index % 8)) != 0)
    }

    /// How many rules were left out.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|byte| byte.count_ones()).sum()
    }
}

/// What failed in the launcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Where.
    pub step: Step,
    /// The kernel's answer, 0 where the launcher itself refused.
    pub errno: u16,
    /// More, by step: see [`Step`].
    pub detail: u32,
}

macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident: $repr:ty { $($(#[$doc:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr($repr)]
        #[non_exhaustive]
        pub enum $name { $($(#[$doc])* $variant = $number,)* }

        impl $name {
            /// Every value, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The value with this number.
            #[must_use]
            pub fn from_number(number: $repr) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

numbered! {
    /// A step of the launcher, in the order in which they are taken.
    Step: u16 {
        /// Making itself undumpable.
        Undumpable = 1,
        /// Reading the plan. Detail: a [`DecodeError`](crate::DecodeError)'s number, or 0 if reading itself failed.
        Plan = 2,
        /// Finding the workload's arguments behind its own.
        Arguments = 3,
        /// Closing what is not listed. Detail: the descriptor.
        Descriptors = 4,
        /// A standard descriptor is a directory or a socket. Detail: the descriptor.
        Stdio = 5,
        /// The working directory is not below the container's root.
        WorkingDirectory = 6,
        /// no_new_privs is not set.
        NoNewPrivs = 7,
        /// Finding the program, before anything is confined. Detail: a [`Program`]'s number.
        Program = 8,
        /// Making the Landlock ruleset.
        Ruleset = 9,
        /// A path rule. Detail: its index.
        PathRule = 10,
        /// A port rule. Detail: its index.
        PortRule = 11,
        /// Entering the domain.
        Restrict = 12,
        /// The connect that must fail. Errno 0: it succeeded.
        ForbiddenConnect = 13,
        /// Drawing random numbers.
        Random = 14,
        /// Taking its random name.
        Name = 15,
        /// Loading a filter. Detail: its index.
        Filter = 16,
        /// Waiting for GO. Errno 0: another byte than GO came.
        Go = 17,
        /// Executing the workload. Detail: a [`Program`]'s number.
        Execute = 18,
    }
}

numbered! {
    /// Why the workload's program cannot be executed: the sentences that engines have for it.
    Program: u32 {
        /// A name without a slash is in no directory of PATH.
        NotInPath = 1,
        /// A path at which nothing is.
        NoSuchFile = 2,
        /// A directory.
        IsDirectory = 3,
        /// No execute permission, or none to reach it.
        PermissionDenied = 4,
        /// The program is there, its interpreter (`#!` or the ELF loader) is not.
        BadInterpreter = 5,
        /// Neither a program for this machine nor a script with `#!`.
        ExecFormat = 6,
        /// A 32-bit program where the filters refuse its system calls.
        ForeignAbi = 7,
        /// Arguments and environment are too long.
        TooLong = 8,
        /// Anything else: the errno tells.
        Other = 9,
    }
}

impl Record {
    /// The record's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_LEN] {
        let mut out = [0; RECORD_LEN];
        let kind = match self {
            Self::Ready(_) => READY,
            Self::Error(_) => ERROR,
        };
        put(&mut out, 0, &MAGIC);
        put(&mut out, 4, &VERSION.to_le_bytes());
        put(&mut out, 6, &[kind]);
        match self {
            Self::Ready(ready) => {
                let (connect, errno) = match ready.connect {
                    Connect::NotTried => (0, 0),
                    Connect::Refused => (1, 0),
                    Connect::Stronger(errno) => (2, errno),
                };
                put(&mut out, 8, ready.comm.as_bytes_with_nul());
                put(&mut out, 24, &[connect, u8::from(ready.landlock)]);
                put(&mut out, 26, &errno.to_le_bytes());
                put(&mut out, 28, &ready.filters.to_le_bytes());
                put(&mut out, 30, &ready.paths.to_le_bytes());
                put(&mut out, BITMAP_AT, &ready.skipped.0);
            }
            Self::Error(failure) => {
                put(&mut out, 8, &(failure.step as u16).to_le_bytes());
                put(&mut out, 10, &failure.errno.to_le_bytes());
                put(&mut out, 12, &failure.detail.to_le_bytes());
            }
        }
        out
    }

    /// Reads a record; `None` if the bytes are not exactly what [`encode`](Self::encode) makes.
    #[must_use]
    pub fn decode(bytes: &[u8; RECORD_LEN]) -> Option<Self> {
        if array::<4>(bytes, 0)? != MAGIC || number(bytes, 4)? != VERSION {
            return None;
        }
        let record = match *bytes.get(6)? {
            READY => Self::Ready(Ready {
                comm: Comm::decode(array(bytes, 8)?)?,
                landlock: *bytes.get(25)? == 1,
                connect: match (bytes.get(24)?, number(bytes, 26)?) {
                    (0, 0) => Connect::NotTried,
                    (1, 0) => Connect::Refused,
                    (2, errno) => Connect::Stronger(errno),
                    _ => return None,
                },
                filters: number(bytes, 28)?,
                paths: number(bytes, 30)?,
                skipped: Skipped(array(bytes, BITMAP_AT)?),
            }),
            ERROR => Self::Error(Failure {
                step: Step::from_number(number(bytes, 8)?)?,
                errno: number(bytes, 10)?,
                detail: u32::from_le_bytes(array(bytes, 12)?),
            }),
            _ => return None,
        };
        (record.encode() == *bytes).then_some(record)
    }
}

fn put(out: &mut [u8; RECORD_LEN], at: usize, bytes: &[u8]) {
    if let Some(field) = out.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len())) {
        field.copy_from_slice(bytes);
    }
}

fn array<const N: usize>(bytes: &[u8; RECORD_LEN], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn number(bytes: &[u8; RECORD_LEN], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}
