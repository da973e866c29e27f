//! Networks by their configuration, and the thread that drives one.

use crate::bell::Bell;
use crate::link::Link;
use crate::mesh::{JoinError, Mesh};
use crate::nat::Options;
use crate::plan::GUEST_MAC;
use crate::running::Running;
use crate::tap::Tap;
use crate::user::{Publish, User};
use skep_board::virtio::net::Mac;
use std::path::PathBuf;

/// What a guest's network card is connected to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Config {
    /// The user-mode network.
    User {
        /// Choices.
        options: Options,
        /// Ports of the guest's that programs of the host's reach.
        publish: Vec<Publish>,
    },
    /// An interface of the host's, by its name.
    Tap(String),
    /// A private network of several virtual machines, by its directory.
    Socket(PathBuf),
}

/// Why a network can't be had. Each message says what happened and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The host does not give a port.
    #[error(
        "the host's port {} can't be published ({source}); choose another one, above 1023 unless you are root",
        .publish.host
    )]
    Publish {
        /// Which one.
        publish: Publish,
        /// The host's error.
        source: std::io::Error,
    },
    /// The tap can't be opened.
    #[error(
        "the interface {name} can't be used ({source}); an administrator makes it with: ip tuntap add {name} mode tap user $USER"
    )]
    Tap {
        /// Its name.
        name: String,
        /// The host's error.
        source: std::io::Error,
    },
    /// The private network can't be joined.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The host has no more file descriptors, threads or memory.
    #[error("the host could not start the network ({0}); close other programs, or use --net none")]
    Host(#[from] std::io::Error),
}

enum Kind {
    User(Box<User>),
    Tap(Tap),
    Mesh(Mesh),
}

/// A network that is ready for its guest.
pub struct Network {
    kind: Kind,
    bell: Bell,
    mac: Mac,
}

impl Network {
    /// Opens what the network needs of the host.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(config: &Config) -> Result<Self, Error> {
        let bell = Bell::new()?;
        let (kind, mac) = match config {
            Config::User { options, publish } => {
                let user = User::open(options.clone(), publish);
                let user = user.map_err(|(publish, source)| match publish {
                    Some(publish) => Error::Publish { publish, source },
                    None => Error::Host(source),
                })?;
                (Kind::User(Box::new(user)), GUEST_MAC)
            }
            Config::Tap(name) => {
                let tap = Tap::open(name).map_err(|source| Error::Tap {
                    name: name.clone(),
                    source,
                })?;
                (Kind::Tap(tap), Tap::mac(name))
            }
            Config::Socket(directory) => {
                let mesh = Mesh::join(directory)?;
                let mac = mesh.mac();
                (Kind::Mesh(mesh), mac)
            }
        };
        Ok(Network { kind, bell, mac })
    }

    /// The backend for the guest's network card.
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// The address for the guest's network card.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Starts the thread that moves frames.
    ///
    /// # Errors
    /// The host has no more threads.
    pub fn start(self, mut link: impl Link + 'static) -> Result<Running, Error> {
        let kind = self.kind;
        let work = move |bell: &Bell| match kind {
            Kind::User(user) => user.run(&mut link, bell),
            Kind::Tap(tap) => tap.run(&mut link, bell),
            Kind::Mesh(mesh) => mesh.run(&mut link, bell),
        };
        Ok(Running::start("net", self.bell, work)?)
    }
}
