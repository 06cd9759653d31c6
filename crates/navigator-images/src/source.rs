//! Images that other tools wrote on this machine.

mod docker;
mod files;
mod layout;

use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;

use self::files::{Bundle, Directory, Files};
pub(crate) use self::layout::REF_NAME;
use crate::archive::ArchiveError;
use crate::digest::{Digest, DigestError};
use crate::image::Image;
use crate::manifest::ManifestError;
use crate::progress::Progress;
use crate::reference::Reference;
use crate::store::{LayerError, Store, StoreError};

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    form: Form,
    path: PathBuf,
    tag: Option<String>,
}

/// How it is written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// An OCI layout: a directory.
    Layout,
    /// An OCI layout in an archive.
    OciArchive,
    /// What `docker save` writes.
    DockerArchive,
}

/// Words before the path.
const FORMS: [(&str, Form); 3] = [
    ("oci", Form::Layout),
    ("oci-archive", Form::OciArchive),
    ("docker-archive", Form::DockerArchive),
];

impl Source {
    /// Reads `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]` or `docker-archive:FILE[:TAG]`; nothing when it begins otherwise.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(':')?;
        let (_, form) = FORMS.iter().find(|(name, _)| *name == word)?;
        // As other tools have it: the path ends at its first colon, since a tag may be a whole name with more of them.
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag.to_owned())),
            None => (rest, None),
        };
        let tag = tag.filter(|tag| !tag.is_empty());
        (!path.is_empty()).then(|| Self { form: *form, path: path.into(), tag })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = FORMS.iter().find(|(_, form)| *form == self.form).map_or("", |(word, _)| word);
        write!(f, "{word}:{}", self.path.display())?;
        self.tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))
    }
}

/// An image that was not imported.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file of it.
    #[error("failed to read {file}")]
    Read {
        /// Which.
        file: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The archive around it.
    #[error("failed to read {file}")]
    Archive {
        /// Which.
        file: String,
        /// What is wrong.
        source: ArchiveError,
    },
    /// A document that is not what it should be.
    #[error("failed to read {file}")]
    Json {
        /// Which.
        file: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A document beyond every use.
    #[error("failed to read {file}: it has {size} bytes, at most {limit} are read")]
    Large {
        /// Which.
        file: String,
        /// Its bytes.
        size: u64,
        /// How many there may be.
        limit: u64,
    },
    /// A blob that is not what its name says.
    #[error("failed to verify {file}: its digest is {found}")]
    Digest {
        /// Which.
        file: String,
        /// What it is.
        found: Digest,
    },
    /// A blob with another size than said.
    #[error("failed to verify {file}: it has {found} bytes, not {expected}")]
    Size {
        /// Which.
        file: String,
        /// What was said.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// A name of a file that should be a digest.
    #[error("failed to read {file}")]
    Name {
        /// Which.
        file: String,
        /// What is wrong.
        source: DigestError,
    },
    /// No image has the tag.
    #[error("failed to find `{tag}` there; there are: {}", .tags.join(", "))]
    Tag {
        /// Which.
        tag: String,
        /// Those that are there.
        tags: Vec<String>,
    },
    /// Several images and no tag.
    #[error("failed to choose an image: there are {}", .tags.join(", "))]
    Several {
        /// Their tags.
        tags: Vec<String>,
    },
    /// Indexes within indexes without end.
    #[error("failed to find an image: indexes lead to indexes")]
    Nested,
    /// A manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A layer.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Imports an image and calls it `name`, or else what it is called there, or else nothing.
    pub fn import(
        &self,
        source: &Source,
        name: Option<&Reference>,
        progress: &dyn Progress,
    ) -> Result<Image, SourceError> {
        let tag = source.tag.as_deref();
        let adding = self.begin()?;
        match source.form {
            Form::Layout => {
                let files = Directory::open(&source.path)?;
                layout::import(adding, &files, tag, name, progress)
            }
            Form::OciArchive => {
                let files = Bundle::open(&source.path, &adding)?;
                layout::import(adding, &files, tag, name, progress)
            }
            Form::DockerArchive => {
                let files = Bundle::open(&source.path, &adding)?;
                docker::import(adding, &files, tag, name, progress)
            }
        }
    }
}

/// All of a document.
fn document(files: &impl Files, file: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
    let (stream, size) = files.open(file)?;
    if size > limit {
        return Err(SourceError::Large { file: file.into(), size, limit });
    }
    let mut bytes = vec![];
    stream.take(limit).read_to_end(&mut bytes).map_err(failed(file))?;
    Ok(bytes)
}

fn failed(file: &str) -> impl FnOnce(io::Error) -> SourceError + use<> {
    let file = file.to_owned();
    move |source| SourceError::Read { file, source }
}

/// A name in a layout or an archive that says where the image comes from; a tag alone does not.
fn own_name(text: &str) -> Option<Reference> {
    Reference::parse(text).ok().filter(|_| text.contains(['/', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_as_it_is_written() {
        for text in ["oci:/a/b", "oci:dir:tag", "docker-archive:f.tar:alpine:3.20", "oci-archive:f"]
        {
            assert_eq!(Source::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "oci", "oci:", "alpine:3.20", "docker://x", "./dir"] {
            assert_eq!(Source::parse(text), None, "{text}");
        }
    }
}
