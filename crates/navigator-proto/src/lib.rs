//! The wire types of the gateway's API, generated from `proto/`, and the way from them to what they mean.
//!
//! `cargo xtask codegen` writes `src/generated`; nothing below the gateway's services and the supervisor's session uses
//! these types.
#![forbid(unsafe_code)]

pub mod policy;
mod redacted;
pub mod resources;

/// Stands in answers where a secret is kept.
pub const REDACTED: &str = "[redacted]";

/// The policy as a message.
pub mod sandbox {
    /// Version 1.
    #[allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated; documented in proto/"
    )]
    pub mod v1 {
        include!("generated/navigator.sandbox.v1.rs");
    }
}

/// What the gateway keeps.
pub mod datamodel {
    /// Version 1.
    #[allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated; documented in proto/"
    )]
    pub mod v1 {
        include!("generated/navigator.datamodel.v1.rs");
    }
}

/// Inference routes.
pub mod inference {
    /// Version 1.
    #[allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated; documented in proto/"
    )]
    pub mod v1 {
        include!("generated/navigator.inference.v1.rs");
    }
}

/// What supervisors and gateway say to each other.
pub mod session {
    /// Version 1.
    #[allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated; documented in proto/"
    )]
    pub mod v1 {
        include!("generated/navigator.session.v1.rs");
    }
}

/// The gateway's API.
#[allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated; documented in proto/"
)]
pub mod v1 {
    include!("generated/navigator.v1.rs");
}
