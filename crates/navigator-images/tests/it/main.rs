//! Tests of the image store as a whole.

mod layers;
mod making;
mod whole;
