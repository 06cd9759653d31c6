//! A secret outside of this process's memory, of which init is a copy.

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use rustix::fs::MemfdFlags;
use zeroize::Zeroizing;

/// A secret in a file that has no name. Init closes it before anything runs in the sandbox.
pub(crate) struct Sealed(File);

impl Sealed {
    /// Puts a secret there.
    pub(crate) fn new(secret: &[u8]) -> io::Result<Self> {
        let mut file = File::from(rustix::fs::memfd_create(c"secret", MemfdFlags::CLOEXEC)?);
        file.write_all(secret)?;
        Ok(Self(file))
    }

    /// Takes it back, once the sandbox's init has been made.
    pub(crate) fn open(mut self) -> io::Result<Zeroizing<Vec<u8>>> {
        self.0.rewind()?;
        let mut secret = Zeroizing::new(vec![]);
        self.0.read_to_end(&mut secret)?;
        Ok(secret)
    }
}
