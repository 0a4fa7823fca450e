//! May this object get one more Event? A bucket of tokens per object, as client-go's spam filter has it, and one for all of them.
//!
//! Pure: time comes in. Bounded: beyond [`limits::EVENT_OBJECTS_MAX`] objects, full buckets are forgotten first.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::audit::record::Object;
use crate::limits;

/// Buckets by object.
#[derive(Debug)]
pub struct Throttle {
    buckets: HashMap<Object, Bucket>,
    all: Bucket,
}

#[derive(Debug)]
struct Bucket {
    tokens: u32,
    filled: Timestamp,
}

impl Throttle {
    /// Takes one token of the object, and one of all; false where one of them is lacking.
    pub fn allows(&mut self, object: &Object, now: Timestamp) -> bool {
        self.all.fill(ALL, now);
        if self.all.tokens == 0 {
            return false;
        }
        if self.buckets.len() >= limits::EVENT_OBJECTS_MAX && !self.buckets.contains_key(object) {
            self.forget(now);
        }
        let full = Bucket { tokens: ONE.0, filled: now };
        let bucket = self.buckets.entry(object.clone()).or_insert(full);
        bucket.fill(ONE, now);
        let left = bucket.tokens > 0;
        bucket.tokens = bucket.tokens.saturating_sub(1);
        self.all.tokens -= u32::from(left);
        left
    }

    /// Forgets the objects whose buckets are full again; where none is, all: an Event too many is better than memory without end.
    fn forget(&mut self, now: Timestamp) {
        self.buckets.retain(|_, bucket| {
            bucket.fill(ONE, now);
            bucket.tokens < limits::EVENTS_PER_OBJECT
        });
        if self.buckets.len() >= limits::EVENT_OBJECTS_MAX {
            self.buckets.clear();
        }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self { buckets: HashMap::new(), all: Bucket { tokens: ALL.0, filled: Timestamp::UNIX_EPOCH } }
    }
}

/// The most tokens of a bucket, and how long one takes to come back.
type Size = (u32, Duration);

const ONE: Size = (limits::EVENTS_PER_OBJECT, limits::EVENT_REFILL);
const ALL: Size = (limits::EVENTS_AT_ONCE, limits::EVENTS_REFILL);

impl Bucket {
    fn fill(&mut self, (most, refill): Size, now: Timestamp) {
        let refill = i64::try_from(refill.as_secs()).unwrap_or(i64::MAX);
        let seconds = now.duration_since(self.filled).as_secs();
        if seconds < 0 {
            self.filled = now; // the clock jumped back
            return;
        }
        let gained = u32::try_from(seconds / refill).unwrap_or(u32::MAX);
        if gained > 0 {
            self.tokens = self.tokens.saturating_add(gained).min(most);
            self.filled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use crate::audit::record::Object;
    use crate::audit::throttle::Throttle;
    use crate::limits;

    fn object(name: &str) -> Object {
        Object {
            group: String::new(),
            version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            uid: None,
        }
    }

    fn at(second: u64) -> Timestamp {
        Timestamp::from_second(i64::try_from(second).unwrap()).unwrap()
    }

    #[test]
    fn a_loop_of_denials_gets_no_more_than_its_burst() {
        let mut throttle = Throttle::default();
        let allowed = (0..1_000).filter(|_| throttle.allows(&object("web"), at(0))).count();
        assert_eq!(allowed, limits::EVENTS_PER_OBJECT as usize);
        assert!(throttle.allows(&object("other"), at(0)));
        assert!(throttle.allows(&object("web"), at(limits::EVENT_REFILL.as_secs())));
        assert!(!throttle.allows(&object("web"), at(limits::EVENT_REFILL.as_secs())));
    }

    #[test]
    fn many_objects_get_no_more_together_than_all_may() {
        let mut throttle = Throttle::default();
        let of_each = |throttle: &mut Throttle, second| {
            (0..1_000).filter(|n| throttle.allows(&object(&n.to_string()), at(second))).count()
        };
        assert_eq!(of_each(&mut throttle, 0), limits::EVENTS_AT_ONCE as usize);
        assert_eq!(of_each(&mut throttle, 30), 30);
    }

    #[test]
    fn objects_without_end_take_no_memory_without_end() {
        let mut throttle = Throttle::default();
        for n in 0..limits::EVENT_OBJECTS_MAX + 10 {
            // One each second, so that no other bound comes first.
            throttle.allows(&object(&n.to_string()), at(n as u64));
        }
        assert!(throttle.buckets.len() <= limits::EVENT_OBJECTS_MAX);
    }
}
