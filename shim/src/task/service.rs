//! The ttrpc face of the task API, under both of its names.
//!
//! A handler is dropped when its client goes away or loses patience. What changes something therefore
//! runs as a task of its own, to its end: containerd restarting in the middle of a Create leaves a
//! container that it can find, not half of one.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use containerd_shim::api::{
    CheckpointTaskRequest, CloseIORequest, ConnectRequest, ConnectResponse, CreateTaskRequest, CreateTaskResponse,
    DeleteRequest, Empty, ExecProcessRequest, KillRequest, PauseRequest, PidsRequest, PidsResponse, ResizePtyRequest,
    ResumeRequest, ShutdownRequest, StartRequest, StartResponse, StateRequest, StateResponse, StatsRequest,
    StatsResponse, UpdateTaskRequest, WaitRequest, WaitResponse,
};
use containerd_shim::protos::api::DeleteResponse;
use containerd_shim::protos::protobuf::MessageField;
use containerd_shim::protos::shim_async::{Task, create_task};
use containerd_shim::protos::ttrpc;
use containerd_shim::protos::ttrpc::r#async::{MethodHandler, Service, TtrpcContext};
use containerd_shim::protos::ttrpc::{Code, Request, Response};

use super::Shim;
use crate::rest;
use crate::status::{TaskError, TaskResult};

/// The name that the generated code uses.
const TASK_V3: &str = "containerd.task.v3.Task";
/// The name of the same service in containerd 1.
const TASK_V2: &str = "containerd.task.v2.Task";

/// The task service for `shim`, as version 3 and as version 2.
#[must_use]
pub fn services(shim: &Arc<Shim>) -> Vec<HashMap<String, Service>> {
    let named = |name: &str| {
        create_task(Arc::new(Handlers(shim.clone())))
            .into_values()
            .map(|service| (name.to_owned(), told(service)))
            .collect()
    };
    vec![named(TASK_V3), named(TASK_V2)]
}

/// A method whose payload may not decode: what the generated code says of that has another code than the other shims'.
struct Told(Box<dyn MethodHandler + Send + Sync>);

#[async_trait]
impl MethodHandler for Told {
    async fn handler(&self, context: TtrpcContext, request: Request) -> ttrpc::Result<Response> {
        // Our handlers answer every mistake themselves: what is left is from before them.
        let response = self.0.handler(context, request).await.or_else(|decoding| {
            let message = format!("ttrpc: error unmarshalling payload: {decoding}");
            let status = MessageField::some(ttrpc::get_status(Code::INTERNAL, message));
            Ok(Response { status, ..Response::default() })
        });
        rest::worked();
        response
    }
}

fn told(service: Service) -> Service {
    let methods = service.methods.into_iter();
    let methods =
        methods.map(|(name, method)| -> (_, Box<dyn MethodHandler + Send + Sync>) { (name, Box::new(Told(method))) });
    Service { methods: methods.collect(), streams: service.streams }
}

struct Handlers(Arc<Shim>);

/// Runs `work` to its end even if nobody waits for it any more.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = TaskResult<T>> + Send + 'static) -> ttrpc::Result<T> {
    match tokio::spawn(work).await {
        Ok(result) => result.map_err(ttrpc::Error::from),
        Err(error) => Err(TaskError::unknown(format!("the call broke off: {error}")).into()),
    }
}

macro_rules! call {
    ($self:ident, $request:ident, $method:ident) => {{
        let shim = $self.0.clone();
        to_the_end(async move { shim.$method($request).await }).await
    }};
}

#[async_trait]
impl Task for Handlers {
    async fn state(&self, _: &TtrpcContext, request: StateRequest) -> ttrpc::Result<StateResponse> {
        Ok(self.0.state(&request)?)
    }

    async fn create(&self, _: &TtrpcContext, request: CreateTaskRequest) -> ttrpc::Result<CreateTaskResponse> {
        call!(self, request, create)
    }

    async fn start(&self, _: &TtrpcContext, request: StartRequest) -> ttrpc::Result<StartResponse> {
        call!(self, request, start)
    }

    async fn delete(&self, _: &TtrpcContext, request: DeleteRequest) -> ttrpc::Result<DeleteResponse> {
        call!(self, request, delete)
    }

    async fn pids(&self, _: &TtrpcContext, request: PidsRequest) -> ttrpc::Result<PidsResponse> {
        Ok(self.0.pids(&request)?)
    }

    async fn pause(&self, _: &TtrpcContext, request: PauseRequest) -> ttrpc::Result<Empty> {
        call!(self, request, pause)
    }

    async fn resume(&self, _: &TtrpcContext, request: ResumeRequest) -> ttrpc::Result<Empty> {
        call!(self, request, resume)
    }

    async fn checkpoint(&self, _: &TtrpcContext, request: CheckpointTaskRequest) -> ttrpc::Result<Empty> {
        call!(self, request, checkpoint)
    }

    async fn kill(&self, _: &TtrpcContext, request: KillRequest) -> ttrpc::Result<Empty> {
        call!(self, request, kill)
    }

    async fn exec(&self, _: &TtrpcContext, request: ExecProcessRequest) -> ttrpc::Result<Empty> {
        Ok(self.0.exec(request)?)
    }

    async fn resize_pty(&self, _: &TtrpcContext, request: ResizePtyRequest) -> ttrpc::Result<Empty> {
        Ok(self.0.resize(&request)?)
    }

    async fn close_io(&self, _: &TtrpcContext, request: CloseIORequest) -> ttrpc::Result<Empty> {
        Ok(self.0.close_io(&request)?)
    }

    async fn update(&self, _: &TtrpcContext, request: UpdateTaskRequest) -> ttrpc::Result<Empty> {
        call!(self, request, update_resources)
    }

    async fn wait(&self, _: &TtrpcContext, request: WaitRequest) -> ttrpc::Result<WaitResponse> {
        Ok(self.0.wait(&request).await?)
    }

    async fn stats(&self, _: &TtrpcContext, request: StatsRequest) -> ttrpc::Result<StatsResponse> {
        Ok(self.0.stats(&request)?)
    }

    async fn connect(&self, _: &TtrpcContext, request: ConnectRequest) -> ttrpc::Result<ConnectResponse> {
        Ok(self.0.connect(&request))
    }

    async fn shutdown(&self, _: &TtrpcContext, _: ShutdownRequest) -> ttrpc::Result<Empty> {
        self.0.shutdown();
        Ok(Empty::default())
    }
}
