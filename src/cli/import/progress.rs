//! How far an import is, on a terminal.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::archive::import::Plan;

/// A bar on standard error; nothing where that is no terminal.
pub struct Progress {
    bar: ProgressBar,
    size: u64,
    /// Whether the files are read; what is stored before that doesn't show.
    storing: bool,
}

impl Progress {
    /// For these files.
    pub fn new(plan: &Plan) -> Self {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let size = plan.size();
        let bar = ProgressBar::with_draw_target(Some(size), target);
        bar.set_style(style("reading {bar:30} {bytes} of {total_bytes}"));
        Self { bar, size, storing: false }
    }

    /// So many bytes were read.
    pub fn read(&mut self, bytes: u64) {
        if std::mem::take(&mut self.storing) {
            self.bar.set_length(self.size);
            self.bar.set_style(style("reading {bar:30} {bytes} of {total_bytes}"));
        }
        self.bar.set_position(bytes);
    }

    /// So many rows come before more is read.
    pub fn sorted(&mut self, rows: usize) {
        self.storing = true;
        self.bar.set_style(style("storing {bar:30} {pos} of {len} rows, {eta} left"));
        self.bar.reset();
        self.bar.set_length(rows as u64);
    }

    /// So many more rows were stored.
    pub fn stored(&self, rows: usize) {
        if self.storing {
            self.bar.inc(rows as u64);
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
