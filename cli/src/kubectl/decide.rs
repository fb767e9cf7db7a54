//! What a pod's annotations ask for, as the shim decides it, but for the node's floor file, which only the node knows.

use std::collections::BTreeMap;

use zerocap_annotations::policy::NAMESPACE_ANNOTATION;
use zerocap_annotations::{Floor, PodPolicy, Policy, ZcError};
use zerocap_daemon::pod::Pod;

/// The RuntimeClass whose handler has the built-in floor.
const PLATFORM_CLASS: &str = "zerocap-platform";

/// The policy of each container by its name, in the order in which they start.
pub fn policies(pod: &Pod) -> Result<Vec<(String, Policy)>, ZcError> {
    let mut floor = Floor::none();
    if pod.spec.runtime_class_name.as_deref() == Some(PLATFORM_CLASS) {
        floor = floor.and_builtin("platform")?;
    }
    let mut annotations: BTreeMap<String, String> = pod.metadata.annotations.clone();
    annotations.insert(NAMESPACE_ANNOTATION.to_owned(), pod.metadata.namespace.clone());
    let frozen = PodPolicy::new(&annotations, &floor)?;
    let named = |name: &str| Ok((name.to_owned(), frozen.container(name, &annotations)?));
    pod.names().map(named).collect()
}
