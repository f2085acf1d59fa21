//! A progress handler that remembers.

use std::sync::{Mutex, PoisonError};

use modelrack::{ModelRef, Progress, ProgressEvent};

type Callback = Box<dyn Fn(&ModelRef, &ProgressEvent) + Send + Sync>;

/// Keeps every event, and may pass each on as it comes.
#[derive(Default)]
pub(crate) struct Recorder {
    events: Mutex<Vec<(ModelRef, ProgressEvent)>>,
    callback: Option<Callback>,
}

impl Recorder {
    /// Calls back on each event, too.
    pub(crate) fn calling(
        callback: impl Fn(&ModelRef, &ProgressEvent) + Send + Sync + 'static,
    ) -> Self {
        Self {
            events: Mutex::default(),
            callback: Some(Box::new(callback)),
        }
    }

    /// All events so far.
    pub(crate) fn events(&self) -> Vec<ProgressEvent> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.iter().map(|(_, event)| event.clone()).collect()
    }

    /// All events so far, each as one word; neighbours that are equal count once.
    pub(crate) fn story(&self) -> Vec<String> {
        let mut story: Vec<String> = self.events().iter().map(word).collect();
        story.dedup();
        story
    }

    /// How many retries there were.
    pub(crate) fn retries(&self) -> usize {
        let mut events = self.events();
        events.retain(|event| matches!(event, ProgressEvent::Retrying { .. }));
        events.len()
    }
}

fn word(event: &ProgressEvent) -> String {
    if let ProgressEvent::Phase(at) = event {
        return format!("phase {}", at.phase.as_str());
    }
    let shown = format!("{event:?}");
    let name = shown.split(|c: char| !c.is_alphanumeric()).next();
    name.unwrap().to_lowercase()
}

impl Progress for Recorder {
    fn on_event(&self, model: &ModelRef, event: &ProgressEvent) {
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((model.clone(), event.clone()));
        if let Some(callback) = &self.callback {
            callback(model, event);
        }
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}
