//! Serving HTTP/1.1 on the Unix socket or on TCP: bounded connections, bounded patience, and an end that waits for
//! what is under way.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Clock as _, SystemClock};

/// How many connections are served at once; more wait.
const CONNECTIONS: usize = 1_024;
/// How long a client may take to send its request's head, and a kept connection may be silent.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// After a failed accept (out of file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the socket can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A daemon answers on it.
    #[error("{0} is the socket of a longplay that runs: stop that one, or choose another control.socket")]
    Live(PathBuf),
    /// Something that is no socket is there.
    #[error("{0} is there and is no socket: remove it, or choose another control.socket")]
    Occupied(PathBuf),
    /// The system refused.
    #[error("the socket {path} can't be made: {source}; check control.socket and its folder")]
    Refused {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// # Errors
/// Where a daemon answers on this socket.
pub fn refuse_live(path: &Path) -> Result<(), SocketError> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(SocketError::Live(path.to_owned())),
        Err(_) => Ok(()),
    }
}

/// Binds the control socket, mode 0660. A socket that nobody listens on any more is replaced.
///
/// # Errors
/// Where it is a live daemon's, or can't be made.
pub fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    let refused = |source| SocketError::Refused { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => return Err(SocketError::Occupied(path.to_owned())),
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(refused)?;
            }
            _ => return Err(SocketError::Live(path.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(refused)?;
            }
        }
        Err(error) => return Err(refused(error)),
    }
    let listener = UnixListener::bind(path).map_err(refused)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(refused)?;
    Ok(listener)
}

/// What can be accepted from.
pub trait Accept: Send + 'static {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Waits for the next one.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

impl Accept for UnixListener {
    type Io = tokio::net::UnixStream;
    async fn accept(&mut self) -> io::Result<Self::Io> {
        Ok(UnixListener::accept(self).await?.0)
    }
}

impl Accept for TcpListener {
    type Io = tokio::net::TcpStream;
    async fn accept(&mut self) -> io::Result<Self::Io> {
        let (stream, _) = TcpListener::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Serves until `stop`; then connections end after the answer they are waiting for.
pub async fn serve(mut listener: impl Accept, router: Router, stop: CancellationToken) {
    let (permits, tasks) = (Arc::new(Semaphore::new(CONNECTIONS)), TaskTracker::new());
    loop {
        let permit = tokio::select! {
            () = stop.cancelled() => break,
            // Never closed: the semaphore is this function's own.
            Ok(permit) = Arc::clone(&permits).acquire_owned() => permit,
        };
        let io = tokio::select! {
            () = stop.cancelled() => break,
            io = listener.accept() => io,
        };
        let io = match io {
            Ok(io) => io,
            Err(error) => {
                tracing::warn!("a connection can't be accepted: {error}");
                SystemClock.sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (router, stop) = (router.clone(), stop.clone());
        tasks.spawn(async move {
            let _permit = permit;
            let service = TowerToHyperService::new(router);
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
            let connection = http.serve_connection(TokioIo::new(io), service).with_upgrades();
            tokio::pin!(connection);
            // A client that breaks off is its own affair.
            tokio::select! {
                _ = connection.as_mut() => {}
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        });
    }
    tasks.close();
    tasks.wait().await;
}
