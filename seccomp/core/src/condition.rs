//! Conditions on a call's arguments.

/// How many arguments a call has at most.
pub const ARGS: usize = 6;

/// How many bits of an argument register a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Width {
    /// The low 32 bits: what the kernel uses of an `int` or `unsigned int`. The upper half may hold anything.
    W32,
    /// All 64 bits: pointers, sizes, `long`, and whatever libseccomp compares.
    W64,
}

impl Width {
    /// The bits of an argument that count.
    #[must_use]
    pub const fn mask(self) -> u64 {
        match self {
            Self::W32 => 0xffff_ffff,
            Self::W64 => u64::MAX,
        }
    }
}

/// A test of one value. Comparisons are unsigned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Test {
    /// value == operand
    Eq(u64),
    /// value != operand
    Ne(u64),
    /// value < operand
    Lt(u64),
    /// value <= operand
    Le(u64),
    /// value > operand
    Gt(u64),
    /// value >= operand
    Ge(u64),
    /// value & mask == datum; bits of the datum outside the mask are ignored, as libseccomp does.
    MaskedEq {
        /// The bits that count.
        mask: u64,
        /// What they have to be.
        datum: u64,
    },
    /// value & mask != datum: some bit of the mask differs. With a mask of one bit or a datum of 0, "any of these bits".
    MaskedNe {
        /// The bits that count.
        mask: u64,
        /// What they must not be.
        datum: u64,
    },
    /// value & mask is one of these. An empty list never holds.
    OneOf {
        /// The bits that count.
        mask: u64,
        /// What they may be.
        values: Vec<u64>,
    },
}

/// A test of one argument.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Condition {
    arg: u8,
    width: Width,
    test: Test,
}

impl Condition {
    /// A condition on argument `arg` (0 to 5; `None` beyond). Operand bits outside the width are dropped: both sides of
    /// the comparison are cut to the width.
    #[must_use]
    pub fn new(arg: u8, width: Width, test: Test) -> Option<Self> {
        if usize::from(arg) >= ARGS {
            return None;
        }
        let cut = width.mask();
        let test = match test {
            Test::Eq(v) => Test::Eq(v & cut),
            Test::Ne(v) => Test::Ne(v & cut),
            Test::Lt(v) => Test::Lt(v & cut),
            Test::Le(v) => Test::Le(v & cut),
            Test::Gt(v) => Test::Gt(v & cut),
            Test::Ge(v) => Test::Ge(v & cut),
            Test::MaskedEq { mask, datum } => Test::MaskedEq { mask: mask & cut, datum: datum & mask & cut },
            Test::MaskedNe { mask, datum } => Test::MaskedNe { mask: mask & cut, datum: datum & mask & cut },
            Test::OneOf { mask, values } => {
                // A value outside the mask can never be met: it is dropped, not cut.
                let mut values: Vec<u64> = values.into_iter().map(|v| v & cut).filter(|v| v & !mask == 0).collect();
                values.sort_unstable();
                values.dedup();
                Test::OneOf { mask: mask & cut, values }
            }
        };
        Some(Self { arg, width, test })
    }

    /// Which argument, 0 to 5.
    #[must_use]
    pub fn arg(&self) -> u8 {
        self.arg
    }

    /// How much of it.
    #[must_use]
    pub fn width(&self) -> Width {
        self.width
    }

    /// The test.
    #[must_use]
    pub fn test(&self) -> &Test {
        &self.test
    }

    /// Does it hold for these argument registers?
    #[must_use]
    pub fn holds(&self, args: &[u64; ARGS]) -> bool {
        let value = args[usize::from(self.arg)] & self.width.mask();
        match &self.test {
            Test::Eq(v) => value == *v,
            Test::Ne(v) => value != *v,
            Test::Lt(v) => value < *v,
            Test::Le(v) => value <= *v,
            Test::Gt(v) => value > *v,
            Test::Ge(v) => value >= *v,
            Test::MaskedEq { mask, datum } => value & mask == *datum,
            Test::MaskedNe { mask, datum } => value & mask != *datum,
            Test::OneOf { mask, values } => values.binary_search(&(value & mask)).is_ok(),
        }
    }

    /// Does it hold whatever the argument, because it looks at none of its bits?
    #[must_use]
    pub fn is_vacuous(&self) -> bool {
        matches!(self.test, Test::MaskedEq { mask: 0, .. })
    }

    /// The same condition as an ABI with 32-bit arguments sees it.
    #[must_use]
    pub fn narrowed(&self) -> Self {
        Self::new(self.arg, Width::W32, self.test.clone()).unwrap_or_else(|| self.clone())
    }
}
