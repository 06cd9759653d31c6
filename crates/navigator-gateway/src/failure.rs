//! What can go wrong in an operation, and the one place where it becomes a gRPC status.

use navigator_drivers::DriverError;
use tonic::Status;

use crate::records::NameError;
use crate::store::StoreError;

/// An operation that was not carried out. Messages are for the caller and hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The request is malformed or unsafe.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// What kind of thing.
        kind: &'static str,
        /// What it was called.
        name: String,
    },
    /// The name is taken.
    #[error("there is a {kind} `{name}` already")]
    Exists {
        /// What kind of thing.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// It cannot be done as things are.
    #[error("{0}")]
    Precondition(String),
    /// It would be too much.
    #[error("{0}")]
    Exhausted(String),
    /// Whoever would do it is not there.
    #[error("{0}")]
    Unavailable(String),
    /// The caller may not.
    #[error("{0}")]
    Denied(&'static str),
    /// Somebody else changed the same thing at the same time.
    #[error("it was changed by somebody else at the same time; look again and repeat")]
    Conflict,
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// The driver failed.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

impl Failure {
    /// A thing that is not there.
    pub(crate) fn missing(kind: &'static str, name: impl ToString) -> Self {
        Self::NotFound { kind, name: name.to_string() }
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::Conflict,
            other => Self::Store(other),
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        match failure {
            Failure::Invalid(_) => Self::invalid_argument(message),
            Failure::NotFound { .. } => Self::not_found(message),
            Failure::Exists { .. } => Self::already_exists(message),
            Failure::Precondition(_) => Self::failed_precondition(message),
            Failure::Exhausted(_) => Self::resource_exhausted(message),
            Failure::Unavailable(_) => Self::unavailable(message),
            Failure::Denied(_) => Self::permission_denied(message),
            Failure::Conflict => Self::failed_precondition(message),
            Failure::Store(error) => store(&error),
            Failure::Driver(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the driver failed");
                Self::unavailable(format!("the driver failed: {error}"))
            }
        }
    }
}

/// Details of a store's failure are for the operator, not for the caller.
fn store(error: &StoreError) -> Status {
    tracing::error!(error = error as &dyn std::error::Error, "the store failed");
    match error {
        StoreError::ReadOnly(_) => {
            Status::unavailable("the store is read-only: nothing can be changed")
        }
        StoreError::Full(_) => Status::unavailable("the store is full: nothing can be changed"),
        StoreError::Unavailable(_) => Status::unavailable("the store cannot be reached"),
        StoreError::Unstorable(what) => {
            Status::invalid_argument(format!("{what} cannot be kept as it is"))
        }
        StoreError::NameTaken
        | StoreError::Conflict
        | StoreError::Missing
        | StoreError::Corrupt(_)
        | StoreError::InUse(_)
        | StoreError::Newer { .. }
        | StoreError::WrongKey
        | StoreError::Path { .. } => {
            Status::internal("the store failed; the gateway's log says how")
        }
    }
}
