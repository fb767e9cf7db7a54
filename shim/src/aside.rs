//! Work that waits for disks: the end of an overlay writes out what its container has written, a mount may read a journal,
//! and a log file may lie on a full or distant disk. The rest of the pod does not wait for that.

use std::io;
use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;

/// Deep enough for one system call and its arguments.
const STACK: usize = 256 << 10;

/// Does `work` in a thread of its own, which ends with it. Where no thread can be had, everybody waits after all.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    within(STACK, work).await
}

async fn within<T: Send + 'static>(
    stack: usize,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    // Handed over afterwards: what was given to a thread that does not start is lost.
    let (give, given) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
    let (tell, told) = oneshot::channel();
    let all = move || {
        // Whoever asked has gone where the shim ends.
        let _ = tell.send(work());
    };
    let wait = move || {
        if let Ok(all) = given.recv() {
            all();
        }
    };
    match thread::Builder::new().name("disk".to_owned()).stack_size(stack).spawn(wait) {
        Ok(_) => drop(give.send(Box::new(all))),
        Err(error) => {
            tracing::warn!(%error, "no thread for what waits for a disk");
            all();
        }
    }
    told.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(flavor = "current_thread")]
    async fn others_go_on_meanwhile_and_the_result_comes_back() {
        let (tell, told) = std::sync::mpsc::channel();
        // It ends only when somebody else has done something.
        let work = move || told.recv_timeout(Duration::from_secs(20)).map_err(io::Error::other);
        let other = async { tell.send(()).map_err(io::Error::other) };
        let (worked, sent) = tokio::join!(aside(work), other);
        assert!(worked.is_ok() && sent.is_ok());
        assert_eq!(
            aside(|| Err::<(), _>(io::ErrorKind::NotFound.into())).await.unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn without_a_thread_the_work_is_done_all_the_same() {
        assert_eq!(within(usize::MAX >> 2, || Ok(thread::current().id())).await.unwrap(), thread::current().id());
        assert_ne!(aside(|| Ok(thread::current().id())).await.unwrap(), thread::current().id());
    }
}
