//! The accept loop: each connection is a task of its own, served by hyper over the seam's stream.
//! hyper gets no timer: its instants come from the machine's clock, so the bound on a request's
//! head is kept here. Must never let one client's error end the loop.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;

use super::super::gateway::Gateway;
use super::super::race::{Either, race};
use super::routes;
use crate::env::{Env, Listener};
use crate::sync::Latch;

/// A client has this long to send its first request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// Accepts until `stop` is set.
pub async fn accept<E: Env>(gateway: Gateway<E>, mut listener: E::Listener, stop: Latch<E>) {
    let router = routes::router(gateway.clone());
    let env = gateway.env();
    loop {
        let stream = match race(stop.wait(), listener.accept()).await {
            Either::First(()) => return,
            Either::Second(Ok((stream, _))) => stream,
            Either::Second(Err(_)) => {
                // Out of descriptors, or the peer is gone already: let others end first.
                env.sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        env.spawn("http", serve(env.clone(), router.clone(), stream));
    }
}

async fn serve<E: Env>(env: E, router: Router, stream: E::Stream) {
    let asked = Latch::new(&env);
    let service = Asked { asked: asked.clone(), inner: TowerToHyperService::new(router) };
    let connection = http1::Builder::new()
        .auto_date_header(false)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let silent = async {
        env.sleep(HEAD_WITHIN).await;
        if asked.is_set().await {
            std::future::pending::<()>().await;
        }
    };
    // An error is the client's: it went away, sent no HTTP, or nothing at all.
    race(connection, silent).await;
}

/// Notes that a request has come.
struct Asked<E> {
    asked: Latch<E>,
    inner: TowerToHyperService<Router>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<E: Env> Service<Request<Incoming>> for Asked<E> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let (asked, answer) = (self.asked.clone(), self.inner.call(request));
        Box::pin(async move {
            asked.set().await;
            answer.await
        })
    }
}
