//! The simulated Spotify on a socket: axum on a thread of its own, over connections that can be cut at any moment.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State, connect_info::Connected};
use axum::http::{StatusCode, header};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use futures_util::stream;
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::message::{Call, Outcome, Reply};
use super::{Shared, exchange};
use crate::clock::Clock;

/// No request is larger.
const BODY_LIMIT: usize = 64 * 1024;

/// A server that runs until it is dropped.
pub(super) struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts to answer on a bound listener.
    pub fn start(listener: std::net::TcpListener, shared: Arc<Shared>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            Wires(TcpListener::from_std(listener)?)
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().fallback(serve).with_state(shared);
        let service = router.into_make_service_with_connect_info::<Cut>();
        let thread = thread::Builder::new().name("simulated-spotify".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = axum::serve(listener, service) => {}
                    _ = stopped => {}
                }
            });
            // The runtime ends here, and with it every connection and every request that is held.
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic there was printed when it happened.
            let _ = thread.join();
        }
    }
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else { return cut.now().await };
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let call = Call {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        authorization: text(header::AUTHORIZATION),
        content_type: text(header::CONTENT_TYPE),
        body: body.to_vec(),
    };
    let clock = Arc::clone(&shared.clock);
    match exchange::answer(shared, call).await {
        Outcome::Whole(reply) => response(reply, Bytes::into),
        Outcome::Half(reply) => response(reply, half),
        Outcome::Endless(reply, pause) => endless(reply, pause, clock),
        Outcome::Cut => cut.now().await,
    }
}

fn response(reply: Reply, body: impl FnOnce(Bytes) -> Body) -> Response {
    let mut response = Response::builder().status(reply.status).header("content-length", reply.body.len());
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    response.body(body(reply.body.into())).unwrap_or_else(|error| {
        let mut response = Response::new(Body::from(format!("this answer can't be sent: {error}")));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// The first half of a body, and then an error, at which hyper ends the connection.
fn half(whole: Bytes) -> Body {
    let first = whole.slice(..whole.len() / 2);
    Body::from_stream(stream::unfold(Some(first), |first| async {
        if let Some(first) = first {
            return Some((Ok(first), None));
        }
        // Once more around the loop, so that hyper writes out what it has before it sees the error.
        tokio::task::yield_now().await;
        Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), None))
    }))
}

/// A body that comes again and again. Its length is not told.
fn endless(reply: Reply, pause: Duration, clock: Arc<dyn Clock>) -> Response {
    let body = Bytes::from(reply.body.clone());
    let mut response = response(reply, |_| {
        Body::from_stream(stream::unfold((), move |()| {
            let (clock, body) = (Arc::clone(&clock), body.clone());
            async move {
                if !pause.is_zero() {
                    clock.sleep(pause).await;
                }
                Some((Ok::<_, io::Error>(body), ()))
            }
        }))
    });
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}

/// Ends one connection.
#[derive(Clone, Default)]
struct Cut(Arc<CutState>);

#[derive(Default)]
struct CutState {
    cut: AtomicBool,
    reader: AtomicWaker,
}

impl Cut {
    /// Ends the connection; whoever awaits this goes with it.
    async fn now(&self) -> Response {
        self.0.cut.store(true, Ordering::SeqCst);
        self.0.reader.wake();
        pending().await
    }
}

impl Connected<IncomingStream<'_, Wires>> for Cut {
    fn connect_info(stream: IncomingStream<'_, Wires>) -> Self {
        stream.io().cut.clone()
    }
}

/// A listener whose connections can be cut.
struct Wires(TcpListener);

impl Listener for Wires {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (Wire { stream, cut: Cut::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection that can be cut. Reading is enough to notice: hyper reads on while a request is under way.
struct Wire {
    stream: TcpStream,
    cut: Cut,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.cut.0.reader.register(context.waker());
        if self.cut.0.cut.load(Ordering::SeqCst) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
