//! What a node tells Kubernetes about its confined pods.
//!
//! * [`daemon`]: the loop of `zerocap node watch`; [`watch`] feeds it the pods of its own node;
//! * [`evidence`]: what the shim's state directory says of one container;
//! * [`judge`]: the pod condition `zerocap.io/Enforced`, a pure function of pod and evidence;
//! * [`blocked`]: the pod condition `zerocap.io/Blocked`, what its packet fences refused;
//! * [`refusal`]: starts that were refused, [`event`] and [`log`] tell of them, [`budget`] keeps that few;
//! * [`labels`]: the node's labels, one per fence, and [`taint`], which keeps pods from a node until it is ready;
//! * [`metrics`], [`counted`] and [`serve`]: numbers and reports, on loopback only;
//! * [`scrape`]: the numbers for a Prometheus elsewhere, over HTTPS, for whom Kubernetes lets;
//! * [`lease`]: whose turn it is to change a node; the installer's.
//!
//! The daemon reads the state directory and never writes to it; it needs root's user id for that, and no capability.

pub mod api;
pub mod blocked;
pub mod budget;
pub mod counted;
pub mod daemon;
pub mod event;
pub mod evidence;
pub mod judge;
pub mod labels;
pub mod lease;
pub mod log;
pub mod metrics;
pub mod pod;
pub mod refusal;
pub mod scrape;
pub mod serve;
pub mod taint;
pub mod text;
pub mod watch;
