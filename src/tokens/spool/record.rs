//! An answer as it stands in the spool once it is opened: JSON, with all that is needed to apply it later.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use crate::domain::{AttemptId, Cause, Epoch, Generation, RefreshToken, Timestamp, UserId};
use crate::oauth::RawAnswer;

use super::Kept;

#[derive(Serialize, Deserialize)]
struct Record {
    epoch: Epoch,
    sent: Generation,
    refresh_token: String,
    attempt: AttemptId,
    cause: Cause,
    sent_at: Timestamp,
    received_at: Timestamp,
    status: u16,
    retry_after: Option<String>,
    date: Option<String>,
    body: String,
}

/// An answer as it is sealed.
pub fn text_of(kept: &Kept) -> io::Result<Zeroizing<Vec<u8>>> {
    let record = Record {
        epoch: kept.epoch,
        sent: kept.sent,
        refresh_token: kept.refresh_token.expose().to_owned(),
        attempt: kept.attempt,
        cause: kept.cause,
        sent_at: kept.sent_at,
        received_at: kept.received_at,
        status: kept.answer.status,
        retry_after: kept.answer.retry_after.clone(),
        date: kept.answer.date.clone(),
        body: STANDARD.encode(&kept.answer.body),
    };
    let text = Zeroizing::new(serde_json::to_vec(&record)?);
    drop((Zeroizing::new(record.body), Zeroizing::new(record.refresh_token)));
    Ok(text)
}

/// Reads it again.
///
/// # Errors
/// In words: what is wrong with it.
pub fn opened(user: UserId, text: &[u8]) -> Result<Kept, String> {
    let mut record: Record = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    let body = Zeroizing::new(STANDARD.decode(&record.body).map_err(|e| e.to_string())?);
    record.body.zeroize();
    Ok(Kept {
        user,
        epoch: record.epoch,
        sent: record.sent,
        refresh_token: RefreshToken::from(std::mem::take(&mut record.refresh_token)),
        attempt: record.attempt,
        cause: record.cause,
        sent_at: record.sent_at,
        received_at: record.received_at,
        answer: RawAnswer { status: record.status, retry_after: record.retry_after, date: record.date, body },
    })
}
