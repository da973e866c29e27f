//! Networks for virtual machines, without privileges and without configuration of the host.
//!
//! [`nat`] is the user-mode network: what the guest sends to the world becomes sockets of the host.

mod bell;
pub mod host;
pub mod link;
mod local;
mod mesh;
pub mod nat;
mod network;
mod offload;
mod os;
pub mod plan;
mod running;
mod tap;
mod tcp;
mod user;
mod wire;

pub use bell::Bell;
pub use link::Link;
pub use mesh::{JoinError, Mesh};
pub use network::{Config, Error, Network};
pub use os::Poll;
pub use running::Running;
pub use user::{Publish, User};
