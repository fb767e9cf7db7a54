//! What a shim does when it has nothing to do: memory that was needed for a moment goes back to the kernel.

use std::time::Duration;

use tokio::sync::Notify;

use crate::sys::memory;

/// How long nothing may happen before it does.
const SETTLED: Duration = Duration::from_millis(500);
/// How long it waits for that at most.
const BUSY: u32 = 10;

/// Something was done since the last rest.
static WORKED: Notify = Notify::const_new();

/// To be called at the end of whatever happens once in a while.
pub(crate) fn worked() {
    WORKED.notify_one();
}

/// Rests whenever there was work, a moment after it and in nobody's way.
pub(crate) async fn for_ever() {
    loop {
        WORKED.notified().await;
        for _ in 0..BUSY {
            if tokio::time::timeout(SETTLED, WORKED.notified()).await.is_err() {
                break;
            }
        }
        memory::give_back();
        memory::forget_code();
    }
}
