//! Imports, from the client's side.

use super::{Call, Client, ORDINARY, Result, UNLIMITED};
use crate::control::api::{ImportBegun, ImportDone, ImportFinish, ImportQuestion};
use crate::domain::{ImportId, Taken, Undone, UserName};

impl Client {
    /// Opens an import, or goes on with the one of these files that was broken off.
    pub async fn begin_import(&self, user: &UserName, digest: String) -> Result<ImportBegun> {
        let call = Call::new("POST", format!("/v1/users/{user}/imports"), ORDINARY);
        self.read(call.json(&ImportQuestion { digest })?).await
    }

    /// Keeps rows; `body` is an `ImportRows` in JSON.
    pub async fn import_rows(&self, user: &UserName, body: Vec<u8>) -> Result<Taken> {
        let call = Call::new("POST", format!("/v1/users/{user}/imports/rows"), UNLIMITED);
        self.read(call.with(body)).await
    }

    /// Ends an import.
    pub async fn end_import(&self, user: &UserName, finish: &ImportFinish) -> Result<ImportDone> {
        let call = Call::new("POST", format!("/v1/users/{user}/imports/end"), UNLIMITED);
        self.read(call.json(finish)?).await
    }

    /// Takes an import back.
    pub async fn undo_import(&self, import: ImportId) -> Result<Undone> {
        self.read(Call::new("DELETE", format!("/v1/imports/{}", import.0), UNLIMITED)).await
    }
}
