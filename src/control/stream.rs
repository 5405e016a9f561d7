//! Answers that are made while they are sent: a bounded number of pieces is on its way, and one that was cut off never
//! looks complete.

use std::io;

use axum::body::{Body, Bytes};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How many pieces wait for whoever reads.
const ON_THE_WAY: usize = 2;

/// A piece of an answer, or its end.
enum Piece {
    Bytes(Bytes),
    End,
}

/// Where the pieces of an answer go.
pub struct Pieces(mpsc::Sender<Result<Piece, io::Error>>);

/// Nobody reads on.
#[derive(Debug)]
pub struct ReaderLeft;

impl Pieces {
    /// Sends one; waits while the reader is behind.
    ///
    /// # Errors
    /// Where nobody reads on.
    pub async fn send(&self, bytes: Vec<u8>) -> Result<(), ReaderLeft> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.0.send(Ok(Piece::Bytes(bytes.into()))).await.map_err(|_| ReaderLeft)
    }
}

/// A body whose pieces `work` sends, in a task of its own, until `stop`. Where it fails, is stopped or breaks off, the body
/// ends with an error, and HTTP without its last chunk.
pub fn body<W>(stop: CancellationToken, work: impl FnOnce(Pieces) -> W) -> Body
where
    W: Future<Output = Result<(), String>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(ON_THE_WAY);
    let work = work(Pieces(sender.clone()));
    tokio::spawn(async move {
        let outcome = tokio::select! {
            () = stop.cancelled() => Err("longplay is stopping".to_owned()),
            () = sender.closed() => return,
            outcome = work => outcome,
        };
        let last = outcome.map(|()| Piece::End).map_err(io::Error::other);
        // Who has left needs no end.
        let _ = sender.send(last).await;
    });
    Body::from_stream(futures_util::stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Ok(Piece::Bytes(bytes))) => Some((Ok(bytes), Some(receiver))),
            Some(Ok(Piece::End)) => None,
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Err(io::Error::other("this broke off: it is a fault of longplay")), None)),
        }
    }))
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn read(body: Body) -> Result<Vec<u8>, String> {
        to_bytes(body, usize::MAX).await.map(|bytes| bytes.to_vec()).map_err(|e| crate::domain::said(&e))
    }

    #[tokio::test]
    async fn only_what_came_to_its_end_is_whole() {
        let stop = CancellationToken::new;
        let whole = body(stop(), async |pieces: Pieces| {
            for piece in [b"a".to_vec(), Vec::new(), b"b".to_vec()] {
                pieces.send(piece).await.map_err(|_| "left".to_owned())?;
            }
            Ok(())
        });
        assert_eq!(read(whole).await.unwrap(), b"ab");
        let failed = body(stop(), async |pieces: Pieces| {
            pieces.send(b"a".to_vec()).await.map_err(|_| "left".to_owned())?;
            Err("the store is away".to_owned())
        });
        assert!(read(failed).await.unwrap_err().contains("the store is away"));
        let stopping = stop();
        let stopped = body(stopping.clone(), async move |pieces: Pieces| {
            pieces.send(b"a".to_vec()).await.map_err(|_| "left".to_owned())?;
            stopping.cancel();
            std::future::pending().await
        });
        assert!(read(stopped).await.unwrap_err().contains("stopping"));
        let broken = body(stop(), async |_pieces: Pieces| -> Result<(), String> { unreachable!("a fault") });
        assert!(read(broken).await.unwrap_err().contains("broke off"));
    }

    #[tokio::test]
    async fn nothing_is_made_for_whoever_has_left() {
        let (left, seen) = tokio::sync::oneshot::channel();
        let endless = body(CancellationToken::new(), async move |pieces: Pieces| {
            while pieces.send(vec![0; 1_000]).await.is_ok() {}
            let _ = left.send(());
            Ok(())
        });
        drop(endless);
        // Ended with it, or dropped.
        let _ = seen.await;
    }
}
