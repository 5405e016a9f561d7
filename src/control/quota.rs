//! What is left of the day's calls of the Web API: which apps share them, and what is told of them.

use crate::config::Settings;
use crate::domain::Quota;
use crate::spotify::Gate;

use super::service::Service;

/// Tells the gate which apps share a day's calls.
pub fn share_quotas(gate: &Gate, settings: &Settings) {
    let apps = settings.apps.iter();
    gate.ledger().configure(apps.map(|(name, app)| (name, app.quota_group.as_str(), app.calls_per_day)));
}

impl Service {
    /// What is left by now, over all daemons; as it was last known while the store is away.
    pub(super) async fn quotas(&self) -> Vec<Quota> {
        let ledger = self.parts().gate.ledger();
        if let Err(error) = ledger.look().await {
            tracing::debug!("the day's calls can't be counted: {error}");
        }
        ledger.quotas()
    }

    /// Shows the metrics what each app has left.
    pub(super) async fn show_quotas(&self) {
        self.quotas().await;
        for app in self.settings().apps.keys() {
            if let Some(left) = self.parts().gate.ledger().left(app) {
                self.parts().metrics.set_quota_left(app, left);
            }
        }
    }
}
