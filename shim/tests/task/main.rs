//! The shim program as containerd drives it, with a made-up engine: what is slow, fails, hangs or comes in another
//! order than usual is ordered here and cannot be ordered from a real one.

mod concurrency;
mod faults;
mod hangs;
mod life;
mod order;
mod rig;
mod streams;
mod wire;
