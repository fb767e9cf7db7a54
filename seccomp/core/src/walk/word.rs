//! 32-bit words whose bits are graphs: what a filter's registers hold, whatever the call.

use crate::graph::{ARCH_TOP, Bit, Graph, IP_TOP, NR_TOP, Node, Result, arg_top};
use crate::interpret::{ARCH, NR};

/// The lowest bit first.
pub(super) type Word = [Node; 32];

pub(super) fn constant(value: u32) -> Word {
    std::array::from_fn(|place| if value >> place & 1 == 1 { Node::YES } else { Node::NO })
}

/// The value, if it is the same for every call.
pub(super) fn known(word: &Word) -> Option<u32> {
    word.iter().rev().try_fold(0, |value, bit| match *bit {
        Node::YES => Some(value << 1 | 1),
        Node::NO => Some(value << 1),
        _ => None,
    })
}

/// The top bit of the word at an offset of `struct seccomp_data` that the kernel lets a filter load.
fn top(offset: u32) -> Bit {
    let half = if offset.is_multiple_of(8) { 32 } else { 0 };
    match offset {
        NR => NR_TOP,
        ARCH => ARCH_TOP,
        8 | 12 => IP_TOP + half,
        _ => arg_top((offset.saturating_sub(16) / 8) as u8) + half,
    }
}

impl Graph {
    pub(super) fn load(&mut self, offset: u32) -> Result<Word> {
        let mut word = constant(0);
        for (place, bit) in word.iter_mut().enumerate() {
            *bit = self.ask(top(offset) + 31 - place as Bit, Node::NO, Node::YES)?;
        }
        Ok(word)
    }

    fn xor_bit(&mut self, a: Node, b: Node) -> Result<Node> {
        let not = self.not(b)?;
        self.choose(a, not, b)
    }

    fn each(&mut self, a: &Word, b: &Word, op: impl Fn(&mut Self, Node, Node) -> Result<Node>) -> Result<Word> {
        self.step()?;
        let mut word = constant(0);
        for place in 0..32 {
            word[place] = op(self, a[place], b[place])?;
        }
        Ok(word)
    }

    pub(super) fn and_word(&mut self, a: &Word, b: &Word) -> Result<Word> {
        self.each(a, b, Self::and)
    }

    pub(super) fn or_word(&mut self, a: &Word, b: &Word) -> Result<Word> {
        self.each(a, b, Self::or)
    }

    pub(super) fn xor_word(&mut self, a: &Word, b: &Word) -> Result<Word> {
        self.each(a, b, Self::xor_bit)
    }

    fn carried(&mut self, a: &Word, b: &Word, mut carry: Node) -> Result<Word> {
        self.step()?;
        let mut word = constant(0);
        for place in 0..32 {
            let half = self.xor_bit(a[place], b[place])?;
            word[place] = self.xor_bit(half, carry)?;
            carry = self.choose(half, carry, a[place])?;
        }
        Ok(word)
    }

    pub(super) fn add(&mut self, a: &Word, b: &Word) -> Result<Word> {
        self.carried(a, b, Node::NO)
    }

    pub(super) fn sub(&mut self, a: &Word, b: &Word) -> Result<Word> {
        let not = self.xor_word(b, &constant(u32::MAX))?;
        self.carried(a, &not, Node::YES)
    }

    pub(super) fn mul(&mut self, a: &Word, b: &Word) -> Result<Word> {
        let mut sum = constant(0);
        for (place, bit) in b.iter().enumerate().filter(|(_, bit)| **bit != Node::NO) {
            let part = self.each(&shifted_left(a, place), &[*bit; 32], Self::and)?;
            sum = self.add(&sum, &part)?;
        }
        Ok(sum)
    }

    /// Long division. What it gives for a divisor of 0 has no meaning.
    pub(super) fn div(&mut self, a: &Word, b: &Word) -> Result<Word> {
        let mut quotient = constant(0);
        let mut rest = constant(0);
        for place in (0..32).rev() {
            // The bit that is pushed out counts: then the rest is larger than any divisor.
            let over = rest[31];
            rest = shifted_left(&rest, 1);
            rest[0] = a[place];
            let fits = self.greater(&rest, b, true)?;
            let fits = self.or(over, fits)?;
            let less = self.sub(&rest, b)?;
            rest = self.pick(fits, &less, &rest)?;
            quotient[place] = fits;
        }
        Ok(quotient)
    }

    fn pick(&mut self, condition: Node, yes: &Word, no: &Word) -> Result<Word> {
        self.each(yes, no, |graph, yes, no| graph.choose(condition, yes, no))
    }

    /// Shift by the low five bits of `by`, as the kernel's interpreter does.
    pub(super) fn shift(&mut self, a: &Word, by: &Word, left: bool) -> Result<Word> {
        let mut word = *a;
        for (stage, bit) in by.iter().take(5).enumerate() {
            let far = if left { shifted_left(&word, 1 << stage) } else { shifted_right(&word, 1 << stage) };
            word = self.pick(*bit, &far, &word)?;
        }
        Ok(word)
    }

    pub(super) fn same(&mut self, a: &Word, b: &Word) -> Result<Node> {
        let mut all = Node::YES;
        for place in 0..32 {
            let differ = self.xor_bit(a[place], b[place])?;
            all = self.choose(differ, Node::NO, all)?;
        }
        Ok(all)
    }

    pub(super) fn greater(&mut self, a: &Word, b: &Word, or_equal: bool) -> Result<Node> {
        let mut result = if or_equal { Node::YES } else { Node::NO };
        for place in 0..32 {
            let differ = self.xor_bit(a[place], b[place])?;
            result = self.choose(differ, a[place], result)?;
        }
        Ok(result)
    }

    pub(super) fn any_in_common(&mut self, a: &Word, b: &Word) -> Result<Node> {
        let mut any = Node::NO;
        for place in 0..32 {
            let both = self.and(a[place], b[place])?;
            any = self.or(both, any)?;
        }
        Ok(any)
    }
}

fn shifted_left(word: &Word, by: usize) -> Word {
    std::array::from_fn(|place| place.checked_sub(by).map_or(Node::NO, |from| word[from]))
}

fn shifted_right(word: &Word, by: usize) -> Word {
    std::array::from_fn(|place| word.get(place + by).copied().unwrap_or(Node::NO))
}
