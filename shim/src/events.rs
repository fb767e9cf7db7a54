//! Events to containerd: one queue, one sender, strict order.
//!
//! containerd's core depends on the order (create, start, exit, delete). A failed delivery is
//! therefore repeated at the head of the queue and never overtaken. While containerd is away the
//! queue grows to a bound, then its oldest entries go.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use containerd_shim::event::Event;
use containerd_shim::protos::events::task as messages;
use containerd_shim::protos::protobuf::Message;
use containerd_shim::protos::protobuf::MessageField;
use containerd_shim::protos::protobuf::well_known_types::any::Any;
use containerd_shim::protos::protobuf::well_known_types::timestamp::Timestamp;
use containerd_shim::protos::shim::event::Envelope;
use containerd_shim::protos::shim::events::ForwardRequest;
use containerd_shim::protos::shim_async::{Client, EventsClient};
use containerd_shim::protos::ttrpc;
use tokio::sync::Notify;

/// Entries kept while containerd cannot be reached.
const MAX_QUEUED: usize = 4096;
/// How long one delivery may take.
const DELIVERY: Duration = Duration::from_secs(5);
/// Pauses between attempts, the last one repeated.
const PAUSES_MS: [u64; 5] = [10, 50, 200, 500, 1000];

/// The kinds of event that this shim publishes.
pub trait TaskEvent: Event + Message {
    /// The full protobuf name. Written down because asking the message for it makes the protobuf
    /// library build its reflection tables, which cost more memory than the rest of the shim.
    const TYPE_URL: &'static str;
}

macro_rules! task_events {
    ($($name:ident),*) => {
        $(impl TaskEvent for messages::$name {
            const TYPE_URL: &'static str = concat!("containerd.events.", stringify!($name));
        })*
    };
}
task_events!(
    TaskCreate,
    TaskStart,
    TaskExecAdded,
    TaskExecStarted,
    TaskExit,
    TaskDelete,
    TaskPaused,
    TaskResumed,
    TaskOOM
);

#[derive(Default)]
struct Queue {
    entries: Mutex<VecDeque<Envelope>>,
    /// Something was queued.
    filled: Notify,
    /// The queue was emptied and its last entry delivered.
    drained: Notify,
}

/// The sending end of the queue.
#[derive(Clone)]
pub struct Publisher {
    queue: Arc<Queue>,
    namespace: String,
}

impl Publisher {
    /// A publisher for `namespace` that delivers to containerd's ttrpc socket at `address` in a
    /// background task of the current runtime.
    #[must_use]
    pub fn start(address: String, namespace: String) -> Self {
        let queue = Arc::new(Queue::default());
        tokio::spawn(deliver_all(queue.clone(), address));
        Self { queue, namespace }
    }

    /// Queues one event. Never blocks and never fails; the order of calls is the order of delivery.
    pub fn publish<E: TaskEvent>(&self, event: &E) {
        let value = match event.write_to_bytes() {
            Ok(value) => value,
            Err(error) => {
                tracing::error!(%error, topic = event.topic(), "cannot encode an event");
                return;
            }
        };
        let envelope = Envelope {
            topic: event.topic(),
            namespace: self.namespace.clone(),
            timestamp: MessageField::some(timestamp(SystemTime::now())),
            event: MessageField::some(Any { type_url: E::TYPE_URL.to_owned(), value, ..Any::default() }),
            ..Envelope::default()
        };
        let mut entries = self.queue.lock();
        if entries.len() == MAX_QUEUED {
            entries.pop_front();
            tracing::warn!("containerd is away for long: the oldest event is dropped");
        }
        entries.push_back(envelope);
        drop(entries);
        self.queue.filled.notify_one();
    }

    /// Waits until everything queued so far is delivered, at most `limit`.
    pub async fn flush(&self, limit: Duration) {
        let drained = async {
            loop {
                let notified = self.queue.drained.notified();
                if self.queue.lock().is_empty() {
                    return;
                }
                notified.await;
            }
        };
        if tokio::time::timeout(limit, drained).await.is_err() {
            tracing::warn!("some events could not be delivered before the end");
        }
    }
}

/// `time` as the protobuf type; times before 1970 are 1970.
#[must_use]
pub fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0),
        ..Timestamp::default()
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Envelope>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn deliver_all(queue: Arc<Queue>, address: String) {
    let mut client: Option<EventsClient> = None;
    loop {
        // The entry stays at the head until it is delivered: nothing can overtake it.
        let head = queue.lock().front().cloned();
        let Some(envelope) = head else {
            queue.drained.notify_waiters();
            queue.filled.notified().await;
            continue;
        };
        let mut attempt = 0;
        while let Err(error) = deliver(&mut client, &address, &envelope).await {
            tracing::warn!(%error, topic = envelope.topic, "cannot deliver an event yet");
            client = None;
            let pause = PAUSES_MS[attempt.min(PAUSES_MS.len() - 1)];
            attempt += 1;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let mut entries = queue.lock();
        // The head may have been dropped meanwhile because the queue was full.
        if entries.front() == Some(&envelope) {
            entries.pop_front();
        }
    }
}

async fn deliver(client: &mut Option<EventsClient>, address: &str, envelope: &Envelope) -> ttrpc::Result<()> {
    let connected = match client {
        Some(connected) => connected,
        None => {
            let address = address.strip_prefix("unix://").unwrap_or(address);
            let connection = Client::connect(&format!("unix://{address}")).await?;
            client.insert(EventsClient::new(connection))
        }
    };
    let request = ForwardRequest { envelope: MessageField::some(envelope.clone()), ..ForwardRequest::default() };
    let limit = i64::try_from(DELIVERY.as_nanos()).unwrap_or(i64::MAX);
    match connected.forward(ttrpc::context::with_timeout(limit), &request).await {
        Ok(_) => Ok(()),
        // containerd answered, and no repetition would change the answer.
        Err(ttrpc::Error::RpcStatus(status))
            if status.code() != ttrpc::Code::DEADLINE_EXCEEDED && status.code() != ttrpc::Code::UNAVAILABLE =>
        {
            tracing::error!(message = status.message, topic = envelope.topic, "containerd refused an event");
            Ok(())
        }
        Err(error) => Err(error),
    }
}
