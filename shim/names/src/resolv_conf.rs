//! resolv.conf(5), as the pod has it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::name::HostName;

/// What a resolv.conf says. Anything else in it is about the resolver inside the pod, which has the responder instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// Servers in the order in which they are asked, three at the most.
    pub nameservers: Vec<IpAddr>,
    /// Domains that are tried behind a short name, in order.
    pub search: Vec<HostName>,
    /// A name with fewer dots is first tried below each domain of `search`.
    pub ndots: usize,
    /// How long a server may take for an answer, before the next try.
    pub timeout: Duration,
    /// How often each server is asked.
    pub attempts: u32,
}

/// The bounds that glibc has, and for `search` the one of Kubernetes.
const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCH: usize = 32;
const MAX_NDOTS: usize = 15;
const MAX_TIMEOUT: u64 = 30;
const MAX_ATTEMPTS: u32 = 5;
/// More is not read.
const MAX_SIZE: usize = 64 << 10;

impl ResolvConf {
    /// Reads a file. Lines that say nothing which is known here, and values that are no such value, are left out as resolvers do; without any
    /// nameserver it is the machine's own, 127.0.0.1.
    #[must_use]
    pub fn parse(file: &[u8]) -> Self {
        let mut conf = Self {
            nameservers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        let text = String::from_utf8_lossy(&file[..file.len().min(MAX_SIZE)]);
        for line in text.lines() {
            // A comment begins in the first column, but nobody means a nameserver behind a sign.
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    conf.nameservers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()))
                }
                // The last line of either counts.
                Some("search") => conf.search = words.filter_map(HostName::parse).take(MAX_SEARCH).collect(),
                Some("domain") => conf.search = words.take(1).filter_map(HostName::parse).collect(),
                Some("options") => words.for_each(|word| conf.option(word)),
                _ => {}
            }
        }
        conf.nameservers.truncate(MAX_NAMESERVERS);
        if conf.nameservers.is_empty() {
            conf.nameservers.push(Ipv4Addr::LOCALHOST.into());
        }
        conf
    }

    fn option(&mut self, word: &str) {
        let Some((key, Ok(value))) = word.split_once(':').map(|(key, value)| (key, value.parse::<u32>())) else {
            return;
        };
        match key {
            "ndots" => self.ndots = (value as usize).min(MAX_NDOTS),
            "timeout" => self.timeout = Duration::from_secs(u64::from(value).clamp(1, MAX_TIMEOUT)),
            "attempts" => self.attempts = value.clamp(1, MAX_ATTEMPTS),
            _ => {}
        }
    }

    /// The names that a resolver would ask for, in its order.
    pub(crate) fn candidates(&self, name: &HostName) -> Vec<HostName> {
        let mut found: Vec<HostName> = self.search.iter().filter_map(|domain| name.below(domain)).collect();
        let place = if name.dots() >= self.ndots { 0 } else { found.len() };
        found.insert(place, name.clone());
        found
    }
}

/// The resolv.conf of a container whose responder is at this address.
///
/// * No search list: the responder looks the listed name up along the pod's own. `search .` says so in a form that glibc obeys; without the
///   line it would take a domain from the host's name.
/// * `ndots:0`: a short name is asked for as it stands.
/// * musl takes a refusal for no answer and waits: two seconds are its patience, and enough for two tries of the responder.
#[must_use]
pub fn resolv_conf(responder: IpAddr) -> String {
    format!("nameserver {responder}\nsearch .\noptions ndots:0 timeout:2 attempts:2\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(names: &[&str]) -> Vec<HostName> {
        names.iter().map(|name| HostName::parse(name).expect("a name")).collect()
    }

    #[test]
    fn the_file_of_a_pod() {
        let conf = ResolvConf::parse(
            b"search ns.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5 edns0\n",
        );
        assert_eq!(conf.nameservers, ["10.96.0.10".parse::<IpAddr>().expect("an address")]);
        assert_eq!(conf.search, names(&["ns.svc.cluster.local", "svc.cluster.local", "cluster.local"]));
        assert_eq!((conf.ndots, conf.timeout.as_secs(), conf.attempts), (5, 5, 2));
    }

    #[test]
    fn order_of_candidates() {
        let mut conf = ResolvConf::parse(b"search a.test b.test\noptions ndots:2");
        let of = |conf: &ResolvConf, name: &str| conf.candidates(&HostName::parse(name).expect("a name"));
        assert_eq!(of(&conf, "x.y"), names(&["x.y.a.test", "x.y.b.test", "x.y"]));
        assert_eq!(of(&conf, "x.y.z"), names(&["x.y.z", "x.y.z.a.test", "x.y.z.b.test"]));
        conf.search.clear();
        assert_eq!(of(&conf, "x"), names(&["x"]));
    }

    #[test]
    fn odd_files() {
        let conf = ResolvConf::parse(b"");
        assert_eq!(conf.nameservers, [IpAddr::from(Ipv4Addr::LOCALHOST)]);
        let conf = ResolvConf::parse(
            b"# nameserver 1.1.1.1\n; nameserver 1.1.1.1\nnameserver\nnameserver 1.2.3\nnameserver 192.0.2.1 # ours\n\
              nameserver 2001:db8::1\r\nnameserver 192.0.2.3\nnameserver 192.0.2.4\nsearch a b\nsearch c .\ndomain d e\n\
              options ndots:99 timeout:0 attempts:1000 timeout:x rotate\n\xff\xfe\n",
        );
        let servers = ["192.0.2.1", "2001:db8::1", "192.0.2.3"].map(|text| text.parse::<IpAddr>().expect("an address"));
        assert_eq!(conf.nameservers, servers);
        assert_eq!(conf.search, names(&["d"]));
        assert_eq!((conf.ndots, conf.timeout.as_secs(), conf.attempts), (15, 1, 5));
    }

    proptest! {
        #[test]
        fn any_bytes_have_bounds(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let conf = ResolvConf::parse(&bytes);
            prop_assert!((1..=MAX_NAMESERVERS).contains(&conf.nameservers.len()));
        }
    }
}
