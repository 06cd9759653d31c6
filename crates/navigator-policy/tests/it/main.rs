//! The language as its users see it.

mod corpus;
mod decisions;
mod errors;
mod matchers;
mod suggestions;
