//! Sockets in another network namespace. Needs root.

mod isolation;
mod resolvers;
mod room;
