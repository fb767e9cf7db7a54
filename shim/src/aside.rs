//! Work that waits for disks: the end of an overlay writes out what its container has written, a mount may read a journal,
//! and a log file may lie on a full or distant disk. The rest of the pod does not wait for that.

use std::io;
use std::thread;

use tokio::sync::oneshot;

/// Deep enough for one system call and its arguments.
const STACK: usize = 256 << 10;

/// Does `work` in a thread of its own, which ends with it.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let (tell, told) = oneshot::channel();
    let all = move || {
        // Whoever asked has gone where the shim ends.
        let _ = tell.send(work());
    };
    thread::Builder::new().name("disk".to_owned()).stack_size(STACK).spawn(all)?;
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
}
