//! Waiting for the first of two futures, the first one preferred: no draw decides.
//! Must never poll in another order than written.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

pub enum Either<A, B> {
    First(A),
    Second(B),
}

/// The output of whichever ends first; `first` when both are ready.
pub async fn race<A: Future, B: Future>(first: A, second: B) -> Either<A::Output, B::Output> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| {
        if let Poll::Ready(out) = first.as_mut().poll(cx) {
            return Poll::Ready(Either::First(out));
        }
        second.as_mut().poll(cx).map(Either::Second)
    })
    .await
}
