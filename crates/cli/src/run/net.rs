//! The network: from what the user says to what the machine has, and what the default guest is told.

use skep_config::net::{Net, Publish};
use skep_net::nat::Options;
use skep_net::{Config, plan};

/// What the network card is connected to, if there is one.
pub fn config(net: &Net, publish: &[Publish]) -> Option<Config> {
    match net {
        Net::None => None,
        Net::User { restrict, dns } => Some(Config::User {
            options: Options {
                restricted: *restrict,
                dns: *dns,
            },
            publish: publish
                .iter()
                .map(|publish| skep_net::Publish {
                    host: publish.host,
                    guest: publish.guest,
                    udp: publish.udp,
                })
                .collect(),
        }),
        Net::Tap(name) => Some(Config::Tap(name.clone())),
        Net::Socket(path) => Some(Config::Socket(path.clone())),
    }
}

/// Whether sockets are opened while the machine runs.
pub fn opens_sockets(net: &Net, publish: &[Publish]) -> bool {
    match net {
        Net::User { restrict, .. } => !restrict || !publish.is_empty(),
        // All is open before.
        Net::None | Net::Tap(_) | Net::Socket(_) => false,
    }
}

/// How the default guest's first program sets up the network (guest/init): a word of the kernel's
/// command line.
pub fn guest_option(net: &Net) -> Option<String> {
    let how = match net {
        Net::None => return None,
        // A guest that reaches nothing needs no way there.
        Net::User { restrict: true, .. } => plan::GUEST.to_string(),
        Net::User { .. } => format!("{},{},{}", plan::GUEST, plan::GATEWAY, plan::DNS),
        Net::Tap(_) => "dhcp".into(),
        Net::Socket(_) => "link".into(),
    };
    Some(format!("skep.net={how}"))
}
