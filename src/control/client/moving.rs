//! The store as a whole: a back-up comes as bytes, a copy as lines that tell how far it is.

use super::export::ByteStream;
use super::transport::{Answer, Call};
use super::{Client, ClientError, Result, UNLIMITED};
use crate::control::api::{CopyLine, CopyProgress, CopyQuestion, StoreCopied};

/// A back-up, as it comes.
pub struct BackUpStream {
    /// Its bytes.
    pub bytes: ByteStream,
    /// How many there are.
    pub length: Option<u64>,
    /// How many users are in it.
    pub users: u64,
    /// How many plays.
    pub plays: u64,
}

/// What is told of a copy.
pub struct CopyLines {
    answer: Answer,
    buffer: Vec<u8>,
}

impl CopyLines {
    /// Waits for the end of the copy; `tell` hears how far it is.
    ///
    /// # Errors
    /// Where it was given up, or nobody can tell how it ended.
    pub async fn end(mut self, mut tell: impl FnMut(CopyProgress)) -> Result<StoreCopied> {
        let lost = |source: &str| ClientError::Lost {
            doing: "copying the store".to_owned(),
            source: format!("{source}; `longplay status` tells whether it is complete").into(),
        };
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                match serde_json::from_slice(&line).map_err(|e| lost(&e.to_string()))? {
                    CopyLine::Progress(progress) => tell(progress),
                    CopyLine::Done(copied) => return Ok(copied),
                    CopyLine::Problem(problem) => return Err(ClientError::Problem(problem)),
                }
            }
            match self.answer.chunk().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) => return Err(lost("the answer has no end")),
                Err(error) => return Err(lost(&crate::domain::said(&error))),
            }
        }
    }
}

impl Client {
    /// A back-up of the whole store.
    pub async fn back_up(&self) -> Result<BackUpStream> {
        let answer = self.good(Call::new("POST", "/v1/backup".to_owned(), UNLIMITED)).await?;
        Ok(BackUpStream {
            length: answer.number("content-length"),
            users: answer.number("longplay-users").unwrap_or(0),
            plays: answer.number("longplay-plays").unwrap_or(0),
            bytes: ByteStream(answer),
        })
    }

    /// Copies the whole store into an empty one.
    pub async fn copy(&self, to: String) -> Result<CopyLines> {
        let call = Call::new("POST", "/v1/copy".to_owned(), UNLIMITED).json(&CopyQuestion { to })?;
        Ok(CopyLines { answer: self.good(call).await?, buffer: Vec::new() })
    }
}
