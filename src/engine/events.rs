//! What happens during a run, told to one observer thread.

use crossbeam_channel::{Receiver, Sender, unbounded};

/// One thing that happened. Tables are named by position in the plan.
#[derive(Debug, Clone)]
pub enum Event {
    /// A stage began; the text is for people.
    Stage(String),
    /// Something worth knowing that changes nothing.
    Notice(String),
    /// Tables about to be read: name and estimated rows.
    Tables(Vec<(String, Option<u64>)>),
    /// A page of table `table` was shaped (and handed to COPY, unless the run is dry).
    Page {
        /// Position of the table.
        table: usize,
        /// Rows in the page.
        rows: u64,
    },
    /// A split of `table` is done; `share` of its space.
    SplitDone {
        /// Position of the table.
        table: usize,
        /// Share of the table's space, 0 to 1.
        share: f64,
    },
    /// So many steps will follow on the target alone: indexes, foreign keys and the like.
    Steps(u64),
    /// One of them is done.
    StepDone,
    /// All splits of `table` are done.
    TableDone {
        /// Position of the table.
        table: usize,
    },
}

/// Sends events; cheap to clone, never blocks, never fails (an observer that is gone hears nothing).
#[derive(Debug, Clone)]
pub struct Events(Sender<Event>);

impl Events {
    /// A channel for one run.
    pub fn channel() -> (Self, Receiver<Event>) {
        let (sender, receiver) = unbounded();
        (Self(sender), receiver)
    }

    /// Tells the observer.
    pub fn tell(&self, event: Event) {
        // A closed channel means that nobody watches any more, which must not end a run.
        let _ = self.0.send(event);
    }

    /// Announces a stage.
    pub fn stage(&self, text: impl Into<String>) {
        self.tell(Event::Stage(text.into()));
    }

    /// Passes on a notice.
    pub fn notice(&self, text: impl Into<String>) {
        self.tell(Event::Notice(text.into()));
    }
}
