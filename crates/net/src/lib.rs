//! Networks for virtual machines, without privileges and without configuration of the host.
//!
//! [`nat`] is the user-mode network: what the guest sends to the world becomes sockets of the host.

mod bell;
pub mod host;
pub mod link;
mod local;
pub mod nat;
mod network;
mod os;
pub mod plan;
mod tcp;
mod user;
mod wire;

pub use bell::Bell;
pub use link::Link;
pub use network::{Config, Error, Network, Running};
pub use user::{Publish, User};
