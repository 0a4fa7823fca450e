//! How much of a review is read? All of it, within a bound for one and a bound for all; else its head, which holds the uid.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody as _};
use http_body_util::BodyExt as _;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::limits;

/// A review's bytes, as far as they were read.
#[derive(Debug)]
pub(crate) enum Review {
    /// All of them, and the memory they hold.
    Whole(Bytes, Held),
    /// Only the beginning.
    Cut {
        /// At most [`limits::REVIEW_HEAD_BYTES`].
        head: Bytes,
        /// Why.
        why: Cut,
    },
}

/// Why a review was not read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Longer than [`limits::REVIEW_BYTES_MAX`].
    TooLong,
    /// The reviews in hand fill [`limits::REVIEW_BYTES_TOTAL_MAX`], and did not make room in time.
    NoRoom,
    /// Its sender was too slow.
    TooSlow,
    /// The connection broke.
    Broken,
}

/// Memory that a review holds of the bound for all; given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Held(Option<OwnedSemaphorePermit>);

impl Held {
    /// Takes more, as it is needed and not as it is announced: a sender that announces much and sends little holds little.
    async fn more(&mut self, room: &Arc<Semaphore>, bytes: usize, until: Instant) -> Option<()> {
        let bytes = u32::try_from(bytes).ok()?;
        let more = timeout_at(until, Arc::clone(room).acquire_many_owned(bytes)).await.ok()?.ok()?;
        match &mut self.0 {
            Some(held) => held.merge(more),
            None => self.0 = Some(more),
        }
        Some(())
    }
}

/// Reads a body until its end or `until`. What is beyond a bound is read and thrown away, so that the answer can be written.
pub(crate) async fn read(mut body: Body, room: &Arc<Semaphore>, until: Instant) -> Review {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut held = Held::default();
    let mut first = Bytes::new();
    let mut text: Vec<u8> = Vec::new();
    loop {
        let frame = match timeout_at(until, body.frame()).await {
            Err(_) => return cut(&first, &text, Cut::TooSlow),
            Ok(Some(Err(_))) => return cut(&first, &text, Cut::Broken),
            Ok(None) if text.is_empty() => return Review::Whole(first, held),
            Ok(None) => return Review::Whole(text.into(), held),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        let read = first.len().max(text.len()) + data.len();
        let why = if read > limits::REVIEW_BYTES_MAX {
            Cut::TooLong
        } else if held.more(room, data.len(), until).await.is_none() {
            Cut::NoRoom
        } else if first.is_empty() {
            first = data;
            continue;
        } else {
            if text.is_empty() {
                text.reserve_exact(announced.clamp(read, limits::REVIEW_BYTES_MAX));
                text.extend_from_slice(&first);
            }
            text.extend_from_slice(&data);
            continue;
        };
        let review = cut(&first, &text, why);
        drop((first, text, held));
        throw_away(body, until).await;
        return review;
    }
}

fn cut(first: &Bytes, text: &[u8], why: Cut) -> Review {
    let whole = if text.is_empty() { first } else { text };
    let head = Bytes::copy_from_slice(&whole[..whole.len().min(limits::REVIEW_HEAD_BYTES)]);
    Review::Cut { head, why }
}

async fn throw_away(mut body: Body, until: Instant) {
    while let Ok(Some(Ok(_))) = timeout_at(until, body.frame()).await {}
}

/// The uid of a review, from as much of its JSON as there is. The API server writes `request.uid` first.
pub(crate) fn uid_of(head: &[u8]) -> Option<String> {
    let mut found = None;
    // An error is expected: the text ends where it was cut. What was found until then counts.
    let _ = Member("request", Some(&mut found)).deserialize(&mut serde_json::Deserializer::from_slice(head));
    found.filter(|uid| !uid.is_empty())
}

/// Visits an object, and its member of this name; in that the member `uid`.
struct Member<'f>(&'static str, Option<&'f mut Option<String>>);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match self.1.take_if(|_| key == self.0) {
                Some(found) if self.0 == "uid" => *found = Some(map.next_value()?),
                Some(found) => map.next_value_seed(Member("uid", Some(found)))?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use axum::body::{Body, Bytes};
    use futures::{StreamExt as _, stream};
    use tokio::sync::Semaphore;
    use tokio::time::Instant;

    use crate::limits;
    use crate::serve::body::{Cut, Review, read, uid_of};

    fn chunks(count: usize, bytes: usize) -> Body {
        let chunk = Bytes::from(vec![b'a'; bytes]);
        Body::from_stream(stream::iter((0..count).map(move |_| Ok::<_, std::io::Error>(chunk.clone()))))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[tokio::test]
    async fn a_body_at_the_bound_is_whole_and_one_beyond_is_cut() {
        let room = Arc::new(Semaphore::new(limits::REVIEW_BYTES_TOTAL_MAX));
        let Review::Whole(text, held) = read(chunks(32, limits::REVIEW_BYTES_MAX / 32), &room, soon()).await else {
            panic!("cut");
        };
        assert_eq!(text.len(), limits::REVIEW_BYTES_MAX);
        assert_eq!(room.available_permits(), limits::REVIEW_BYTES_TOTAL_MAX - limits::REVIEW_BYTES_MAX);
        drop(held);
        let Review::Cut { head, why } = read(chunks(33, limits::REVIEW_BYTES_MAX / 32), &room, soon()).await else {
            panic!("whole");
        };
        assert_eq!((head.len(), why), (limits::REVIEW_HEAD_BYTES, Cut::TooLong));
        assert_eq!(room.available_permits(), limits::REVIEW_BYTES_TOTAL_MAX);
    }

    #[tokio::test]
    async fn bodies_that_find_no_room_are_cut_and_hold_none() {
        let room = Arc::new(Semaphore::new(1_000));
        let until = Instant::now() + Duration::from_millis(50);
        let Review::Cut { why, .. } = read(chunks(3, 500), &room, until).await else { panic!("whole") };
        assert_eq!(why, Cut::NoRoom);
        assert_eq!(room.available_permits(), 1_000);
    }

    #[tokio::test]
    async fn a_sender_that_stops_is_cut_with_what_it_sent() {
        let room = Arc::new(Semaphore::new(1_000));
        let begun = stream::iter([Ok::<_, std::io::Error>("abc")]).chain(stream::pending());
        let until = Instant::now() + Duration::from_millis(50);
        let Review::Cut { head, why } = read(Body::from_stream(begun), &room, until).await else { panic!("whole") };
        assert_eq!((&*head, why), (&b"abc"[..], Cut::TooSlow));
    }

    #[test]
    fn the_uid_is_found_in_a_text_that_ends_anywhere() {
        let review = r#"{"kind":"AdmissionReview","request":{"kind":{"uid":"no"},"uid":"a-b","object":{"uid":"no"}}}"#;
        let from = review.find(r#""a-b""#).unwrap() + r#""a-b""#.len();
        for end in 0..review.len() {
            let found = uid_of(&review.as_bytes()[..end]);
            assert_eq!(found.as_deref(), (end >= from).then_some("a-b"), "{}", &review[..end]);
        }
        for none in ["", "[]", "null", r#"{"request":null}"#, r#"{"request":{"uid":7}}"#, r#"{"uid":"x"}"#, "\u{fffd}"]
        {
            assert_eq!(uid_of(none.as_bytes()), None, "{none}");
        }
    }
}
