//! A filter run on every call at once.
//!
//! Registers and scratch memory hold words whose bits are graphs over the call's bits; a jump that not every call takes
//! alike is a choice between what follows on either side. Two ways that meet with the same contents in everything that is
//! still read are one, so the work follows the program's size and not the number of its ways.

use super::word::{Word, constant, known};
use crate::check::MEMORY;
use crate::graph::{Graph, Map, Node, Result, TooComplex};
use crate::insn::opcode as op;
use crate::interpret::DATA_LEN;
use crate::{Insn, MAX_INSNS};

/// How many different states may be looked at.
const MAX_STATES: usize = 1 << 16;
/// How many different values may be returned.
const MAX_ANSWERS: usize = 2 * MAX_INSNS;

/// What is returned, and by which instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) ret: u32,
    pub(super) at: usize,
}

/// Where the program is and what it holds, by index into the list of values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    at: usize,
    a: u32,
    x: u32,
    memory: [u32; MEMORY as usize],
}

enum Next {
    End(Node),
    Fork(Node, Box<[Way; 2]>),
}

#[derive(Clone)]
enum Way {
    End(Node),
    On(State),
}

pub(super) struct Machine<'a> {
    pub(super) graph: Graph,
    pub(super) answers: Vec<Answer>,
    insns: &'a [Insn],
    /// Per instruction, what is still read from there on: bit 0 to 15 scratch memory, 16 A, 17 X.
    read: Vec<u32>,
    values: Vec<Word>,
    places: Map<Word, u32>,
}

const A: u32 = 1 << 16;
const X: u32 = 1 << 17;

impl<'a> Machine<'a> {
    /// For a program that [`crate::check`] takes.
    pub(super) fn new(insns: &'a [Insn]) -> Self {
        let mut machine = Self {
            graph: Graph::default(),
            answers: Vec::new(),
            insns,
            read: reads(insns),
            values: Vec::new(),
            places: Map::default(),
        };
        // Value 0 is the number 0: what registers begin with, and what those hold that are not read again.
        machine.keep(constant(0));
        machine
    }

    /// What the program answers to every call; the ends are indices of `answers`.
    pub(super) fn run(&mut self) -> Result<Node> {
        let start = State { at: 0, a: 0, x: 0, memory: [0; MEMORY as usize] };
        let mut done: Map<State, Node> = Map::default();
        let mut forks: Map<State, (Node, Box<[Way; 2]>)> = Map::default();
        let mut waiting = vec![start.clone()];
        while let Some(state) = waiting.last().cloned() {
            if done.contains_key(&state) {
                waiting.pop();
                continue;
            }
            if done.len() + forks.len() > MAX_STATES {
                return Err(TooComplex);
            }
            let Some((condition, ways)) = forks.get(&state) else {
                match self.advance(state.clone())? {
                    Next::End(node) => _ = done.insert(state, node),
                    Next::Fork(condition, ways) => {
                        waiting.extend(ways.iter().filter_map(|way| match way {
                            Way::On(state) => Some(state.clone()),
                            Way::End(_) => None,
                        }));
                        forks.insert(state, (condition, ways));
                    }
                }
                continue;
            };
            let end = |way: &Way| match way {
                Way::End(node) => Some(*node),
                Way::On(state) => done.get(state).copied(),
            };
            // Control only goes forward, so what was put on top is done by now.
            let (Some(yes), Some(no)) = (end(&ways[0]), end(&ways[1])) else { return Err(TooComplex) };
            let node = self.graph.choose(*condition, yes, no)?;
            forks.remove(&state);
            done.insert(state, node);
        }
        done.get(&start).copied().ok_or(TooComplex)
    }

    fn keep(&mut self, word: Word) -> u32 {
        let next = self.values.len() as u32;
        let place = *self.places.entry(word).or_insert(next);
        if place == next {
            self.values.push(word);
        }
        place
    }

    fn value(&self, place: u32) -> Word {
        self.values.get(place as usize).copied().unwrap_or(constant(0))
    }

    /// A state at an instruction, with everything forgotten that is not read from there on.
    fn at(&self, state: &State, at: usize) -> State {
        let read = self.read.get(at).copied().unwrap_or(0);
        let kept = |bit: u32, place: u32| if read & bit == 0 { 0 } else { place };
        State {
            at,
            a: kept(A, state.a),
            x: kept(X, state.x),
            memory: std::array::from_fn(|word| kept(1 << word, state.memory[word])),
        }
    }

    fn answer(&mut self, ret: u32, at: usize) -> Result<Node> {
        let answer = Answer { ret, at };
        let index = self.answers.iter().position(|known| *known == answer).unwrap_or(self.answers.len());
        if index == self.answers.len() {
            self.answers.push(answer);
        }
        if index < MAX_ANSWERS { Ok(Node::end(index as u32)) } else { Err(TooComplex) }
    }

    /// Every value that a word has for some call is an answer.
    fn answers_of(&mut self, word: &Word, at: usize, place: usize, above: u32) -> Result<Node> {
        let Some(below) = place.checked_sub(1) else { return self.answer(above, at) };
        self.graph.step()?;
        let with = above | 1 << below;
        match word[below] {
            Node::YES => self.answers_of(word, at, below, with),
            Node::NO => self.answers_of(word, at, below, above),
            bit => {
                let set = self.answers_of(word, at, below, with)?;
                let clear = self.answers_of(word, at, below, above)?;
                self.graph.choose(bit, set, clear)
            }
        }
    }

    /// Go on until the program ends or calls part.
    fn advance(&mut self, mut state: State) -> Result<Next> {
        loop {
            self.graph.step()?;
            // Beyond the end there is nothing in a program that was checked.
            let Some(insn) = self.insns.get(state.at).copied() else { return Err(TooComplex) };
            let at = state.at;
            let mut next = at + 1;
            let (k, scratch) = (insn.k, (insn.k % MEMORY) as usize);
            let a = self.value(state.a);
            match insn.code {
                op::LD_ABS => {
                    let word = self.graph.load(k)?;
                    state.a = self.keep(word);
                }
                op::LD_IMM => state.a = self.keep(constant(k)),
                op::LD_LEN => state.a = self.keep(constant(DATA_LEN)),
                op::LD_MEM => state.a = state.memory[scratch],
                op::LDX_IMM => state.x = self.keep(constant(k)),
                op::LDX_LEN => state.x = self.keep(constant(DATA_LEN)),
                op::LDX_MEM => state.x = state.memory[scratch],
                op::ST => state.memory[scratch] = state.a,
                op::STX => state.memory[scratch] = state.x,
                op::TAX => state.x = state.a,
                op::TXA => state.a = state.x,
                op::RET_K => return Ok(Next::End(self.answer(k, at)?)),
                op::RET_A => return Ok(Next::End(self.answers_of(&a, at, 32, 0)?)),
                op::JA => next = next.saturating_add(k as usize),
                op::NEG => {
                    let word = self.graph.sub(&constant(0), &a)?;
                    state.a = self.keep(word);
                }
                code => {
                    let operand = if code & op::SRC_X == 0 { constant(k) } else { self.value(state.x) };
                    let base = code & !op::SRC_X;
                    let taken = match base {
                        op::JEQ => Some(self.graph.same(&a, &operand)?),
                        op::JGT => Some(self.graph.greater(&a, &operand, false)?),
                        op::JGE => Some(self.graph.greater(&a, &operand, true)?),
                        op::JSET => Some(self.graph.any_in_common(&a, &operand)?),
                        _ => None,
                    };
                    if let Some(taken) = taken {
                        let (yes, no) = (next + usize::from(insn.jt), next + usize::from(insn.jf));
                        match taken {
                            Node::YES => next = yes,
                            Node::NO => next = no,
                            _ => {
                                self.graph.landmark(taken);
                                let ways = [Way::On(self.at(&state, yes)), Way::On(self.at(&state, no))];
                                return Ok(Next::Fork(taken, Box::new(ways)));
                            }
                        }
                    } else {
                        let word = self.arithmetic(base, &a, &operand)?;
                        state.a = self.keep(word);
                        if base == op::DIV && known(&operand).is_none_or(|divisor| divisor == 0) {
                            // The kernel ends the program with 0 on a division by a register that is zero.
                            let zero = self.graph.same(&operand, &constant(0))?;
                            let ways = [Way::End(self.answer(0, at)?), Way::On(self.at(&state, next))];
                            return Ok(Next::Fork(zero, Box::new(ways)));
                        }
                    }
                }
            }
            state.at = next;
        }
    }

    fn arithmetic(&mut self, base: u16, a: &Word, b: &Word) -> Result<Word> {
        match base {
            op::ADD => self.graph.add(a, b),
            op::SUB => self.graph.sub(a, b),
            op::MUL => self.graph.mul(a, b),
            op::DIV => self.graph.div(a, b),
            op::OR => self.graph.or_word(a, b),
            op::AND => self.graph.and_word(a, b),
            op::XOR => self.graph.xor_word(a, b),
            op::LSH => self.graph.shift(a, b, true),
            op::RSH => self.graph.shift(a, b, false),
            // Nothing else passes the check.
            _ => Err(TooComplex),
        }
    }
}

/// What is read from each instruction on, before it is written again. One pass from the end: control only goes forward.
fn reads(insns: &[Insn]) -> Vec<u32> {
    let mut read = vec![0u32; insns.len()];
    for (at, insn) in insns.iter().enumerate().rev() {
        let after = |skip: usize| at.checked_add(skip + 1).and_then(|to| read.get(to)).copied().unwrap_or(0);
        let word = 1u32 << (insn.k % MEMORY);
        let next = after(0);
        read[at] = match insn.code {
            op::LD_ABS | op::LD_IMM | op::LD_LEN => next & !A,
            op::LD_MEM => next & !A | word,
            op::LDX_IMM | op::LDX_LEN => next & !X,
            op::LDX_MEM => next & !X | word,
            op::ST => next & !word | A,
            op::STX => next & !word | X,
            op::TAX => next & !X | A,
            op::TXA => next & !A | X,
            op::RET_K => 0,
            op::RET_A => A,
            op::NEG => next | A,
            op::JA => after(insn.k as usize),
            code => {
                let operand = if code & op::SRC_X == 0 { A } else { A | X };
                match code & !op::SRC_X {
                    op::JEQ | op::JGT | op::JGE | op::JSET => {
                        operand | after(usize::from(insn.jt)) | after(usize::from(insn.jf))
                    }
                    _ => operand | next,
                }
            }
        };
    }
    read
}
