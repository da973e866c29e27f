//! A directory of the host, for a guest: the server behind a virtio file system device.
//!
//! [`wire`] has the messages, [`nodes`] what the guest knows, both without any access to files;
//! [`tree`] is the directory, and what keeps the guest in it; [`Server`] puts them together.
//! The guest is not trusted: whatever it sends, it reaches nothing outside the directory, and takes
//! no more of the host than [`Limits`] says.

#![forbid(unsafe_code)]

mod nodes;
mod server;
#[cfg(test)]
mod tests;
mod tree;
pub mod wire;

pub use server::{Limits, Server};
pub use tree::ShareError;
