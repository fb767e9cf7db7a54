//! The connections that are open: few. A newcomer for whom there is no place takes that of a connection which has not shown yet
//! who it is: the oldest one of the source that holds the most, and one from where a caller came who may read only if there is no
//! other. So whoever opens many ends his own, and a caller who is known is never put out.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::source::{Proven, Source};

/// A connection whose end was not enough to free its place is not waited for longer than this: another one has to go.
const WAIT: Duration = Duration::from_millis(100);

/// One open connection.
#[derive(Debug)]
struct Open {
    number: u64,
    source: Source,
    stream: TcpStream,
    /// It has shown who it is, or was told to go.
    settled: bool,
}

#[derive(Debug, Default)]
struct Table {
    /// The oldest first.
    open: Vec<Open>,
    proven: Proven,
    next: u64,
}

/// The table.
#[derive(Debug)]
pub(super) struct Slots {
    most: usize,
    table: Mutex<Table>,
    left: Condvar,
}

/// A place in it; free again when this goes.
#[derive(Debug)]
pub(super) struct Ticket {
    slots: Arc<Slots>,
    number: u64,
}

impl Slots {
    pub(super) fn new(most: usize) -> Self {
        Self { most, table: Mutex::default(), left: Condvar::new() }
    }

    /// Waits for a place, and sees to it that there is one soon.
    pub(super) fn enter(slots: &Arc<Self>, stream: &TcpStream, source: Source) -> io::Result<Ticket> {
        let stream = stream.try_clone()?;
        let mut table = slots.lock();
        while table.open.len() >= slots.most {
            table.put_one_out();
            table = slots.left.wait_timeout(table, WAIT).unwrap_or_else(PoisonError::into_inner).0;
        }
        let number = table.next;
        table.next += 1;
        table.open.push(Open { number, source, stream, settled: false });
        Ok(Ticket { slots: slots.clone(), number })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn put_one_out(&mut self) {
        let mut held: HashMap<Source, usize> = HashMap::new();
        for open in &self.open {
            *held.entry(open.source).or_default() += 1;
        }
        let proven = &self.proven;
        // Of several with as many, the first is kept: it is the oldest.
        let victim = self.open.iter_mut().filter(|open| !open.settled).rev();
        let victim = victim.max_by_key(|open| (!proven.has(open.source), held[&open.source]));
        if let Some(victim) = victim {
            victim.settled = true;
            // It may be gone by itself.
            drop(victim.stream.shutdown(Shutdown::Both));
        }
    }
}

impl Ticket {
    /// The connection has shown who it is: it keeps its place.
    pub(super) fn keep(&self) {
        let mut table = self.slots.lock();
        if let Some(open) = table.open.iter_mut().find(|open| open.number == self.number) {
            open.settled = true;
            let source = open.source;
            table.proven.add(source);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.slots.lock().open.retain(|open| open.number != self.number);
        self.slots.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{IpAddr, Ipv4Addr, TcpListener};

    use super::*;

    /// Both ends of a connection.
    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        (client, listener.accept().unwrap().0)
    }

    fn is_out(client: &mut TcpStream) -> bool {
        matches!(client.read(&mut [0]), Ok(0))
    }

    #[test]
    fn the_oldest_of_the_address_with_most_goes_and_who_is_known_stays() {
        let slots = Arc::new(Slots::new(4));
        let address = |last| Source::from(IpAddr::from([10, 0, 0, last]));
        let mut ends = Vec::new();
        for from in [7, 9, 9, 9] {
            let (client, server) = pair();
            ends.push((client, Some(Slots::enter(&slots, &server, address(from)).unwrap())));
        }
        // The oldest of all is known by now.
        ends[0].1.as_ref().unwrap().keep();
        let (_newcomer, server) = pair();
        let waiting = {
            let slots = slots.clone();
            std::thread::spawn(move || Slots::enter(&slots, &server, address(8)).map(drop))
        };
        assert!(is_out(&mut ends[1].0), "the oldest of the greedy one has to go");
        ends[1].1 = None;
        waiting.join().unwrap().unwrap();
        for kept in [0, 2, 3] {
            assert!(!is_out(&mut ends[kept].0), "{kept} was put out");
        }
    }

    #[test]
    fn one_connection_from_each_of_many_does_not_end_a_callers_who_came_before() {
        let slots = Arc::new(Slots::new(4));
        let source = |last| Source::from(IpAddr::from([10, 0, 0, last]));
        let enter = |last| {
            let (client, server) = pair();
            (client, Some(Slots::enter(&slots, &server, source(last)).unwrap()))
        };
        enter(1).1.unwrap().keep();
        // It has not shown anything this time, and is the oldest.
        let mut caller = enter(1);
        let mut others: Vec<_> = (2..5).map(enter).collect();
        for last in 5..9 {
            let (_newcomer, server) = pair();
            let waiting = {
                let slots = slots.clone();
                std::thread::spawn(move || Slots::enter(&slots, &server, source(last)).map(drop))
            };
            let out =
                others.iter_mut().find(|(client, ticket)| ticket.is_some() && is_out(&mut client.try_clone().unwrap()));
            out.expect("somebody has to go").1 = None;
            waiting.join().unwrap().unwrap();
            others.push(enter(last + 50));
        }
        assert!(!is_out(&mut caller.0), "the caller who came before was put out");
    }
}
