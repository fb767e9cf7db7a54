//! Who may read the numbers: Kubernetes says so, of the token that a caller shows. TokenReview names its owner,
//! SubjectAccessReview says whether the owner may `get` the path `/metrics`.
//!
//! An answer is remembered for a while, under the token's digest. Whom nobody knows yet may have few questions asked, or a
//! stranger with many tokens would have the API server asked as often as he likes. Tokens are renewed, so a caller who may read comes
//! as a stranger now and then: where he came from before, he does not share with others.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::api::{Api, ApiError};
use crate::budget::Bucket;

use super::source::{Proven, Source};

/// What is asked about.
pub(super) const PATH: &str = "/metrics";
/// How long a yes holds: so long a right that was taken away is still used.
const YES: Duration = Duration::from_secs(60);
/// How long a no holds: so long a right that was given is not seen.
const NO: Duration = Duration::from_secs(10);
/// How long it is remembered that a token was good, so that the question about it is not a stranger's.
const KNOWN: Duration = Duration::from_secs(3600);
/// Tokens that are remembered.
const MOST: usize = 64;
/// Questions for strangers, all together: this many at once, and one more in each such period.
const STRANGERS: (u32, Duration) = (10, Duration::from_millis(500));
/// And for those of one source, also of one that is proven.
const OF_ONE: (u32, Duration) = (3, Duration::from_secs(2));
/// Sources that are remembered for that.
const SOURCES: usize = 128;
/// Of these at a time, so that a slow API server does not keep every thread waiting.
const AT_A_TIME: usize = 3;

/// What Kubernetes says of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It may.
    Permitted,
    /// Its owner is known, and may not.
    Forbidden,
    /// Nobody's token.
    Stranger,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Decided(Decision),
    /// Nobody could be asked.
    NotNow,
}

type Digested = [u8; 32];
type Ask = Box<dyn Fn(&str) -> Result<Decision, ApiError> + Send + Sync>;

struct Memory {
    tokens: HashMap<Digested, (Decision, Instant)>,
    strangers: Bucket,
    sources: HashMap<Source, (Bucket, Instant)>,
    proven: Proven,
    asking: usize,
}

/// The callers that are known.
pub(super) struct Callers {
    ask: Ask,
    memory: Mutex<Memory>,
}

impl Callers {
    pub(super) fn new(ask: Ask) -> Self {
        let strangers = Bucket::new(STRANGERS.0, STRANGERS.1, Instant::now());
        Self {
            ask,
            memory: Mutex::new(Memory {
                tokens: HashMap::new(),
                strangers,
                sources: HashMap::new(),
                proven: Proven::default(),
                asking: 0,
            }),
        }
    }

    /// What becomes of a request with this token from there.
    pub(super) fn verdict(&self, token: &str, from: Source, now: Instant) -> Verdict {
        let digest: Digested = Sha256::digest(token).into();
        let counted = {
            let mut memory = self.lock();
            let known = memory.tokens.get(&digest).copied();
            if let Some((decision, at)) = known
                && now.saturating_duration_since(at) < decision.holds()
            {
                return Verdict::Decided(decision);
            }
            let stranger = known.is_none_or(|(decision, at)| {
                decision != Decision::Permitted || now.saturating_duration_since(at) >= KNOWN
            });
            let proven = memory.proven.has(from);
            let refused = stranger
                && (!memory.may_ask(from, now)
                    || !proven && (memory.asking >= AT_A_TIME || !memory.strangers.take(now)));
            if refused {
                return Verdict::NotNow;
            }
            let counted = stranger && !proven;
            memory.asking += usize::from(counted);
            counted
        };
        let decided = (self.ask)(token);
        let mut memory = self.lock();
        memory.asking -= usize::from(counted);
        match decided {
            Ok(decision) => {
                memory.remember(digest, decision, now);
                if decision == Decision::Permitted {
                    memory.proven.add(from);
                }
                Verdict::Decided(decision)
            }
            Err(_) => Verdict::NotNow,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Decision {
    const fn holds(self) -> Duration {
        if matches!(self, Self::Permitted) { YES } else { NO }
    }
}

impl Memory {
    /// Whether this source may have one more question asked.
    fn may_ask(&mut self, from: Source, now: Instant) -> bool {
        if self.sources.len() >= SOURCES && !self.sources.contains_key(&from) {
            let longest = self.sources.iter().min_by_key(|(_, (_, last))| *last).map(|(source, _)| *source);
            longest.map(|source| self.sources.remove(&source));
        }
        let (bucket, last) = self.sources.entry(from).or_insert_with(|| (Bucket::new(OF_ONE.0, OF_ONE.1, now), now));
        *last = now;
        bucket.take(now)
    }

    /// Where there is no room the one goes that is of least use: a stranger before one that is permitted, and the oldest first.
    fn remember(&mut self, digest: Digested, decision: Decision, now: Instant) {
        if self.tokens.len() >= MOST && !self.tokens.contains_key(&digest) {
            let use_of = |(decision, at): &(Decision, Instant)| (*decision == Decision::Permitted, *at);
            let least = self.tokens.iter().min_by_key(|(_, known)| use_of(known)).map(|(digest, _)| *digest);
            least.map(|least| self.tokens.remove(&least));
        }
        self.tokens.insert(digest, (decision, now));
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Review {
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    authenticated: bool,
    user: User,
    allowed: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

/// Asks Kubernetes.
pub(super) fn ask(api: &Api, token: &str) -> Result<Decision, ApiError> {
    let review = |group: &str, kind: &str, resource: &str, spec: Value| -> Result<Review, ApiError> {
        let object = json!({ "apiVersion": format!("{group}/v1"), "kind": kind, "spec": spec });
        api.review(&format!("/apis/{group}/v1/{resource}"), &object)
    };
    let shown = review("authentication.k8s.io", "TokenReview", "tokenreviews", json!({ "token": token }))?.status;
    if !shown.authenticated || shown.user.username.is_empty() {
        return Ok(Decision::Stranger);
    }
    let User { username, uid, groups, extra } = shown.user;
    let what = json!({ "path": PATH, "verb": "get" });
    let spec = json!({ "user": username, "uid": uid, "groups": groups, "extra": extra, "nonResourceAttributes": what });
    let may = review("authorization.k8s.io", "SubjectAccessReview", "subjectaccessreviews", spec)?.status.allowed;
    Ok(if may { Decision::Permitted } else { Decision::Forbidden })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn source(last: u8) -> Source {
        std::net::IpAddr::from([192, 0, 2, last]).into()
    }

    fn callers(
        decide: impl Fn(&str) -> Result<Decision, ApiError> + Send + Sync + 'static,
    ) -> (Callers, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let ask = move |token: &str| {
            count.fetch_add(1, Ordering::SeqCst);
            decide(token)
        };
        (Callers::new(Box::new(ask)), asked)
    }

    #[test]
    fn an_answer_holds_for_a_while_and_a_yes_is_asked_for_again() {
        let revoked = Arc::new(AtomicUsize::new(0));
        let now_revoked = revoked.clone();
        let (callers, asked) = callers(move |token| {
            Ok(match token {
                "good" if now_revoked.load(Ordering::SeqCst) == 0 => Decision::Permitted,
                "good" => Decision::Forbidden,
                _ => Decision::Stranger,
            })
        });
        let start = Instant::now();
        let at = |token, seconds| callers.verdict(token, source(1), start + Duration::from_secs(seconds));
        assert_eq!(at("good", 0), Verdict::Decided(Decision::Permitted));
        revoked.store(1, Ordering::SeqCst);
        assert_eq!(at("good", 59), Verdict::Decided(Decision::Permitted));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(at("good", 60), Verdict::Decided(Decision::Forbidden));
        assert_eq!(at("other", 60), Verdict::Decided(Decision::Stranger));
        assert_eq!(at("other", 69), Verdict::Decided(Decision::Stranger));
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn strangers_have_few_questions_asked_and_do_not_crowd_out_who_is_known() {
        let (callers, asked) =
            callers(|token| Ok(if token.starts_with("good") { Decision::Permitted } else { Decision::Stranger }));
        let start = Instant::now();
        let prometheus = source(1);
        assert_eq!(callers.verdict("good", prometheus, start), Verdict::Decided(Decision::Permitted));
        let answered = |from: u8, at: Instant| {
            let one = |n: u32| callers.verdict(&format!("{n} from {from} at {at:?}"), source(from), at);
            (0..200).filter(|n| one(*n) != Verdict::NotNow).count()
        };
        assert_eq!(answered(2, start), 3, "one source alone");
        assert_eq!((3..20).map(|from| answered(from, start)).sum::<usize>(), 6, "ten for all, and four were asked");
        // Its token is renewed in the middle of that.
        assert_eq!(callers.verdict("good, renewed", prometheus, start), Verdict::Decided(Decision::Permitted));
        let later = start + Duration::from_secs(300);
        assert_eq!((2..20).map(|from| answered(from, later)).sum::<usize>(), 10);
        assert_eq!(callers.verdict("good", prometheus, later), Verdict::Decided(Decision::Permitted));
        for minute in 6..60 {
            let at = start + Duration::from_secs(60 * minute);
            let _ = (2..250).map(|from| answered(from, at)).sum::<usize>();
        }
        let memory = callers.lock();
        assert!(memory.tokens.len() <= MOST && memory.sources.len() <= SOURCES && memory.asking == 0);
        let good: Digested = Sha256::digest("good").into();
        assert!(memory.tokens.contains_key(&good));
        drop(memory);
        assert!(asked.load(Ordering::SeqCst) < 700);
        // What is proven is no right to ask without end.
        let of_proven = (0..200).filter(|n| callers.verdict(&format!("bad {n}"), prometheus, later) != Verdict::NotNow);
        assert!(of_proven.count() <= 3);
    }

    #[test]
    fn a_mute_api_server_is_no_yes() {
        let (callers, _) = callers(|_| Err(ApiError::Transport("refused".into())));
        assert_eq!(callers.verdict("good", source(1), Instant::now()), Verdict::NotNow);
        assert_eq!(callers.lock().asking, 0);
        assert!(callers.lock().tokens.is_empty());
    }
}
