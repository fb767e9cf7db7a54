//! Who may read the numbers: Kubernetes says so, of the token that a caller shows. TokenReview names its owner,
//! SubjectAccessReview says whether the owner may `get` the path `/metrics`.
//!
//! An answer is remembered for a while, under the token's digest. Whom nobody knows yet may have few questions asked, or a
//! stranger with many tokens would have the API server asked as often as he likes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::api::{Api, ApiError};
use crate::budget::Bucket;

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
/// Questions for strangers: this many at once, and one more in each such period.
const STRANGERS: (u32, Duration) = (10, Duration::from_millis(500));
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
        Self { ask, memory: Mutex::new(Memory { tokens: HashMap::new(), strangers, asking: 0 }) }
    }

    /// What becomes of a request with this token.
    pub(super) fn verdict(&self, token: &str, now: Instant) -> Verdict {
        let digest: Digested = Sha256::digest(token).into();
        let stranger = {
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
            if stranger && (memory.asking >= AT_A_TIME || !memory.strangers.take(now)) {
                return Verdict::NotNow;
            }
            memory.asking += usize::from(stranger);
            stranger
        };
        let decided = (self.ask)(token);
        let mut memory = self.lock();
        memory.asking -= usize::from(stranger);
        match decided {
            Ok(decision) => {
                memory.remember(digest, decision, now);
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
        let at = |token, seconds| callers.verdict(token, start + Duration::from_secs(seconds));
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
            callers(|token| Ok(if token == "good" { Decision::Permitted } else { Decision::Stranger }));
        let start = Instant::now();
        assert_eq!(callers.verdict("good", start), Verdict::Decided(Decision::Permitted));
        let of_strangers = |at: Instant| {
            (0..1000).filter(|n| callers.verdict(&format!("{n} at {at:?}"), at) != Verdict::NotNow).count()
        };
        assert_eq!(of_strangers(start), 9, "ten questions at once, and one was asked");
        let later = start + Duration::from_secs(300);
        assert_eq!(of_strangers(later), 10);
        assert_eq!(
            callers.verdict("good", later),
            Verdict::Decided(Decision::Permitted),
            "who is known is no stranger"
        );
        for minute in 6..60 {
            let _ = of_strangers(start + Duration::from_secs(60 * minute));
        }
        let memory = callers.lock();
        assert!(memory.tokens.len() <= MOST && memory.asking == 0);
        let good: Digested = Sha256::digest("good").into();
        assert!(memory.tokens.contains_key(&good));
        drop(memory);
        assert!(asked.load(Ordering::SeqCst) < 600);
    }

    #[test]
    fn a_mute_api_server_is_no_yes() {
        let (callers, _) = callers(|_| Err(ApiError::Transport("refused".into())));
        assert_eq!(callers.verdict("good", Instant::now()), Verdict::NotNow);
        assert_eq!(callers.lock().asking, 0);
        assert!(callers.lock().tokens.is_empty());
    }
}
