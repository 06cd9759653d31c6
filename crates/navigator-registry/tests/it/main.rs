//! Pulls from real and from hostile registries.

mod authority;
mod distribution;
mod image;
mod layers;
mod logins;
mod manifests;
mod mirrors;
mod puller;
mod real;
mod redirects;
mod server;
