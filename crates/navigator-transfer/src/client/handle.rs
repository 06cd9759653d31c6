//! What the server has open for us, which is closed also when who opened it gives up.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use navigator_sftp::wire::Reader;

use super::ClientError;

/// Longest handle, as the protocol has it (draft-ietf-secsh-filexfer-02, section 6.2).
const LONGEST: usize = 256;

/// An open file or directory of the server. One that is dropped is closed before the next is opened.
#[derive(Debug)]
pub struct Handle {
    id: Vec<u8>,
    left: Left,
}

impl Handle {
    /// Takes the handle in an answer's body.
    pub(super) fn new(body: &[u8], left: &Left) -> Result<Self, ClientError> {
        let id = Reader::new(body).string()?;
        if id.is_empty() || id.len() > LONGEST {
            return Err(ClientError::Protocol);
        }
        Ok(Self { id: id.to_vec(), left: left.clone() })
    }

    pub(super) fn id(&self) -> &[u8] {
        &self.id
    }

    /// Gives the handle to the request that closes it.
    pub(super) fn give_up(&mut self) -> Vec<u8> {
        mem::take(&mut self.id)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let id = self.give_up();
        if !id.is_empty() {
            self.left.0.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        }
    }
}

/// Handles that were dropped and are to be closed: no more than the server opened for us.
#[derive(Clone, Debug, Default)]
pub(super) struct Left(Arc<Mutex<Vec<Vec<u8>>>>);

impl Left {
    pub(super) fn pop(&self) -> Option<Handle> {
        let id = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Handle { id, left: self.clone() })
    }
}
