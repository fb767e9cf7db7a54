//! Restore: a container that comes from a checkpoint.
//!
//! Create only remembers where the checkpoint is, and Start has the engine make the container: that is how the other
//! shims do it, and what their clients wait for. A confined container is never restored: criu knows nothing of Landlock.

use std::path::PathBuf;
use std::sync::Arc;

use zerocap_annotations::{ZcError, code};

use super::Shim;
use super::container::Container;
use super::create::{Creation, streams_error};
use super::process::Phase;
use crate::cgroup::Cgroup;
use crate::confinement::Prepared;
use crate::status::TaskResult;
use crate::stdio;

/// Where criu works, in the bundle, unless the options say otherwise.
const WORK: &str = "work";

/// Where a container comes from that was not made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The folder with criu's images.
    pub(crate) image: PathBuf,
    /// Where criu works.
    pub(crate) work: PathBuf,
}

impl Checkpoint {
    /// The checkpoint that a request names, if it names one. `work` is the option, or empty.
    pub(super) fn wanted(image: &str, work: &str, bundle: &std::path::Path) -> Option<Self> {
        let work = if work.is_empty() { bundle.join(WORK) } else { work.into() };
        (!image.is_empty()).then(|| Self { image: image.into(), work })
    }
}

/// Why a container with a policy is not restored.
pub(super) fn refusal() -> ZcError {
    ZcError::new(
        code::spec::RESTORE,
        "the container has a policy, and criu does not restore Landlock",
        "start the container afresh, or remove the zerocap annotations",
    )
}

impl Shim {
    /// Makes the container that Create has only announced.
    pub(super) async fn restore_init(
        self: &Arc<Self>,
        container: &Arc<Container>,
        checkpoint: &Checkpoint,
    ) -> TaskResult<()> {
        let io = stdio::Prepared::open(&container.init.stdio, &container.owner, &self.reaper)
            .await
            .map_err(streams_error)?;
        let creation = Creation {
            id: &container.id,
            bundle: &container.bundle,
            marks: Vec::new(),
            planned: None,
            checkpoint: Some(checkpoint),
        };
        let made = self.make_init(&container.engine, creation, io, Vec::new(), &mut Prepared::plain()).await?;
        container.is_in(Cgroup::of(made.pid).unwrap_or_default());
        container.init.made(made);
        self.follow_init(container);
        Ok(())
    }
}

impl Container {
    /// Whether the container was announced and is not made yet.
    pub(super) fn awaits_restore(&self) -> bool {
        self.checkpoint.is_some() && self.init.watch().is_none() && self.init.state().phase != Phase::Deleted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn criu_works_in_the_bundle_unless_it_is_told_where() {
        let bundle = Path::new("/b");
        assert_eq!(Checkpoint::wanted("", "/w", bundle), None);
        let work = |option| Checkpoint::wanted("/image", option, bundle).unwrap().work;
        assert_eq!(work(""), Path::new("/b/work"));
        assert_eq!(work("/w"), Path::new("/w"));
    }

    #[test]
    fn the_refusal_has_its_code() {
        assert!(refusal().to_string().starts_with("ZC0313"), "{}", refusal());
    }
}
