//! What a client has open, under names that it cannot guess into somebody else's.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::Refusal;

/// Most files and directories open at once; below the usual limit of descriptors.
pub(super) const MAX_HANDLES: usize = 512;

/// An open file, or a directory that is being listed.
pub(super) enum Open {
    File(OwnedFd),
    Directory(OwnedFd),
}

/// Open things by place; each use of a place has another number, so that an old handle never means a new file.
#[derive(Default)]
pub(super) struct Handles {
    places: Vec<Option<(u32, Open)>>,
    opened: u32,
}

impl Handles {
    /// Keeps what was opened and gives its handle.
    pub(super) fn insert(&mut self, open: Open) -> Result<[u8; 8], Refusal> {
        let place = match self.places.iter().position(Option::is_none) {
            Some(place) => place,
            None if self.places.len() < MAX_HANDLES => {
                self.places.push(None);
                self.places.len() - 1
            }
            None => return Err(Errno::MFILE.into()),
        };
        self.opened = self.opened.wrapping_add(1);
        self.places[place] = Some((self.opened, open));
        let place = u32::try_from(place).map_err(|_| Errno::MFILE)?;
        let number = (u64::from(place) << 32) | u64::from(self.opened);
        Ok(number.to_be_bytes())
    }

    pub(super) fn file(&self, handle: &[u8]) -> Result<&OwnedFd, Refusal> {
        match self.get(handle)? {
            Open::File(fd) => Ok(fd),
            Open::Directory(_) => Err(Errno::ISDIR.into()),
        }
    }

    pub(super) fn directory(&self, handle: &[u8]) -> Result<&OwnedFd, Refusal> {
        match self.get(handle)? {
            Open::Directory(fd) => Ok(fd),
            Open::File(_) => Err(Errno::NOTDIR.into()),
        }
    }

    pub(super) fn any(&self, handle: &[u8]) -> Result<&OwnedFd, Refusal> {
        match self.get(handle)? {
            Open::Directory(fd) | Open::File(fd) => Ok(fd),
        }
    }

    pub(super) fn remove(&mut self, handle: &[u8]) -> Result<(), Refusal> {
        self.get(handle)?;
        let (place, _) = parts(handle)?;
        self.places[place] = None;
        Ok(())
    }

    fn get(&self, handle: &[u8]) -> Result<&Open, Refusal> {
        let (place, number) = parts(handle)?;
        match self.places.get(place) {
            Some(Some((current, open))) if *current == number => Ok(open),
            _ => Err(Errno::BADF.into()),
        }
    }
}

fn parts(handle: &[u8]) -> Result<(usize, u32), Refusal> {
    let number = u64::from_be_bytes(handle.try_into().map_err(|_| Errno::BADF)?);
    let place = usize::try_from(number >> 32).map_err(|_| Errno::BADF)?;
    Ok((place, u32::try_from(number & u64::from(u32::MAX)).map_err(|_| Errno::BADF)?))
}
