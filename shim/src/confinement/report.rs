//! What was verified, into the container's enforcement report.

use std::sync::PoisonError;

use zerocap_annotations::report::Verified as Row;
use zerocap_annotations::{ZcError, code};
use zerocap_node::state::Document;

use super::Confined;
use crate::handover::Identity;

impl Confined {
    /// Keeps what was verified at the first process's start; later starts have shown the same.
    pub(super) fn record(&self, rows: Vec<Row>) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        if !report.verified.is_empty() {
            return;
        }
        report.verified = rows;
        // The workload runs and is confined; a report that cannot be written must not end it.
        if let Err(error) = self.state.write_json(Document::Report, &*report) {
            tracing::warn!(%error, "cannot write the enforcement report");
        }
    }

    pub(super) fn launcher_identity(&self) -> Result<Identity, ZcError> {
        self.launcher.as_ref().map(super::Launcher::identity).ok_or_else(|| {
            ZcError::new(
                code::verify::EXECUTABLE,
                "the container has no launcher",
                "report this as a defect of zerocap",
            )
        })
    }
}
