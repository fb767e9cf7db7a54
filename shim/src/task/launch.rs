//! An engine call and a launcher side by side.
//!
//! Either may fail, end or hang first: the engine's words explain why a launcher never came, and a launcher's
//! record explains why an engine gave up. Neither is waited for alone.

use std::time::Duration;

use tokio::task::JoinHandle;
use zerocap_annotations::ZcError;
use zerocap_plan::record::Ready;

use crate::confinement::{Start, refused};
use crate::engine::{Aborter, EngineError, Running};
use crate::reaper::ExitWatch;
use crate::status::{TaskError, TaskResult};

use super::control::engine_error;

/// How long the other side may take to explain a failure better.
const GRACE: Duration = Duration::from_millis(300);

/// An engine call under way, whose result can be asked for more than once.
pub(super) struct Call {
    prefix: &'static str,
    abort: Option<Aborter>,
    handle: Option<JoinHandle<Result<String, EngineError>>>,
    result: Result<(), EngineError>,
}

impl Call {
    /// Follows `running`; `prefix` is how its failure is told.
    pub(super) fn new(running: Running, prefix: &'static str) -> Self {
        Self { prefix, abort: Some(running.aborter()), handle: Some(tokio::spawn(running.complete())), result: Ok(()) }
    }

    /// A call that was not needed.
    pub(super) fn spared() -> Self {
        Self { prefix: "", abort: None, handle: None, result: Ok(()) }
    }

    /// Waits for the engine's result.
    pub(super) async fn result(&mut self) -> TaskResult<()> {
        if let Some(handle) = &mut self.handle {
            self.result = match handle.await {
                Ok(result) => result.map(drop),
                Err(error) => Err(EngineError::Failed(error.to_string())),
            };
            self.handle = None;
        }
        match &self.result {
            Ok(()) => Ok(()),
            Err(error) => Err(engine_error(self.prefix, error)),
        }
    }

    /// Waits for the launcher beside the engine. `watch` tells when the process ends, if its pid is known.
    pub(super) async fn parked(&mut self, start: &mut Start, watch: Option<ExitWatch>) -> TaskResult<Ready> {
        let parked = tokio::select! {
            biased;
            parked = start.parked(watch) => parked,
            error = self.failure() => return Err(error),
        };
        match parked {
            Ok(ready) => Ok(ready),
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// Resolves when the engine fails, never when it succeeds.
    async fn failure(&mut self) -> TaskError {
        match self.result().await {
            Err(error) => error,
            Ok(()) => std::future::pending().await,
        }
    }

    /// The better one of two explanations: the engine's, if it has failed as well.
    async fn explain(&mut self, error: ZcError) -> TaskError {
        let from_launcher = error.code != zerocap_annotations::code::handover::DIED_BEFORE_READY;
        match tokio::time::timeout(GRACE, self.result()).await {
            Ok(Err(engine)) if !from_launcher => engine,
            _ => refused(error),
        }
    }

    /// Kills the engine if it still runs, and waits until it is gone: its children are ours then.
    pub(super) async fn end(&mut self, limit: Duration) {
        self.abort();
        // One that the kernel does not let go is left to it.
        let _ = tokio::time::timeout(limit, self.result()).await;
    }

    /// Kills the engine if it still runs.
    pub(super) fn abort(&self) {
        if let Some(engine) = &self.abort {
            engine.abort();
        }
    }
}
