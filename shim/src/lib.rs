//! The shim, as a library for its binary and its tests.
