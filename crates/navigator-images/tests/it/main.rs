//! Tests of the image store as a whole.

mod layers;
mod making;
mod ordinary;
mod other_tools;
mod snapshots;
mod trees;
mod whole;
