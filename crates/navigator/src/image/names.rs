//! Names of images for the shell's completion.

use std::ffi::OsStr;

use clap_complete::{ArgValueCompleter, CompletionCandidate};

use super::store;

/// Completes names of images.
pub fn completer() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| candidates(&typed.to_string_lossy()))
}

fn candidates(typed: &str) -> Vec<CompletionCandidate> {
    // A completion has no place for an error: silence is the answer.
    let images = store().ok().and_then(|store| store.images().ok()).unwrap_or_default();
    let names = images.iter().flat_map(|image| image.names.iter().map(|name| name.familiar()));
    names.filter(|name| name.starts_with(typed)).map(CompletionCandidate::new).collect()
}
