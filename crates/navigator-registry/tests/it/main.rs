//! Pulls from real and from hostile registries.

mod authority;
mod image;
mod layers;
mod logins;
mod manifests;
mod mirrors;
mod puller;
mod redirects;
mod server;
