//! A run that is watched instead of judged: what no policy names is let through, looked at where it can be, and
//! noted. What must never be reached stays refused.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use navigator_policy::{Host, Observation, RequestKind, Seen};

use crate::authorise::{Right, Wire};
use crate::limits::{MAX_LEARNED, MAX_LEARNED_FILES, MAX_LEARNED_REQUESTS};

/// What was seen, by program and destination.
#[derive(Debug, Default)]
pub struct Learning {
    seen: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// By executable, host as text, port.
    places: BTreeMap<(String, String, u16), (Host, Seen)>,
    /// Destinations whose clients do not let themselves be looked at.
    opaque: BTreeSet<(String, u16)>,
    forgotten: u64,
    /// Real paths of the files that programs used, and of the links that led to them.
    files: BTreeSet<String>,
    /// Names that were followed already, and whether to open what they lead to.
    names: HashSet<(String, bool)>,
    /// Programs whose own files are known: process, its start, its stack.
    images: HashSet<(u32, u64, u64)>,
}

impl Learning {
    /// Everything that was seen, and the number of things for which there was no room.
    pub fn observations(&self) -> (Vec<Observation>, u64) {
        let table = self.lock();
        let all = table.places.iter().map(|((program, _, port), (host, seen))| Observation {
            program: program.clone(),
            host: host.clone(),
            port: *port,
            seen: seen.clone(),
        });
        (all.collect(), table.forgotten)
    }

    /// The files that were used, outside of what every sandbox has of its own.
    pub fn files(&self) -> BTreeSet<String> {
        self.lock().files.clone()
    }

    /// Whether a name was not followed before.
    pub(crate) fn is_new_name(&self, name: &str, opens: bool) -> bool {
        let mut table = self.lock();
        table.names.len() < MAX_LEARNED_FILES && table.names.insert((name.to_owned(), opens))
    }

    /// Whether a program was not looked at before.
    pub(crate) fn is_new_image(&self, image: (u32, u64, u64)) -> bool {
        let mut table = self.lock();
        table.images.len() < MAX_LEARNED_FILES && table.images.insert(image)
    }

    pub(crate) fn note_file(&self, path: String) {
        let mut table = self.lock();
        if table.files.len() < MAX_LEARNED_FILES {
            table.files.insert(path);
        } else {
            table.forgotten += 1;
        }
    }

    pub(crate) fn is_opaque(&self, host: &Host, port: u16) -> bool {
        self.lock().opaque.contains(&(host.to_string(), port))
    }

    /// Notes a connection that cannot be looked at; the next one to there is not looked at either.
    pub(crate) fn note_opaque(&self, right: &Right) {
        let mut table = self.lock();
        if table.opaque.len() < MAX_LEARNED {
            table.opaque.insert((right.host.to_string(), right.port));
        }
        table.each(right, |_| Some(Seen::Opaque));
    }

    pub(crate) fn note_request(
        &self,
        right: &Right,
        wire: Wire,
        kind: RequestKind,
        asked: (&str, &str),
    ) {
        self.lock().each(right, |seen| {
            let (mut all, socket) = match seen {
                // One opaque connection makes the endpoint opaque: it cannot be both.
                Some(Seen::Opaque) => return Some(Seen::Opaque),
                Some(Seen::Requests { requests, websocket, .. }) => (requests, websocket),
                None => (BTreeSet::new(), false),
            };
            let asked = (asked.0.to_owned(), asked.1.to_owned());
            if all.len() >= MAX_LEARNED_REQUESTS && !all.contains(&asked) {
                return None;
            }
            all.insert(asked);
            let websocket = socket || kind == RequestKind::WebSocket;
            Some(Seen::Requests { tls: wire == Wire::Tls, websocket, requests: all })
        });
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Changes what was seen for every program that holds a connection. `None` leaves it, and counts as forgotten.
    fn each(&mut self, right: &Right, change: impl Fn(Option<Seen>) -> Option<Seen>) {
        for program in &right.programs {
            let key = (program.executable.to_string(), right.host.to_string(), right.port);
            let known = self.places.get(&key).map(|(_, seen)| seen.clone());
            let room = known.is_some() || self.places.len() < MAX_LEARNED;
            match change(known).filter(|_| room) {
                Some(seen) => drop(self.places.insert(key, (right.host.clone(), seen))),
                None => self.forgotten += 1,
            }
        }
    }
}
