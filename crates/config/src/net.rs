//! Networks as they are written: `net` and `publish` of `[vm.NAME]`, `--net` and `--publish`.

use crate::value::{COMMAS, split_options};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The longest name of a network interface.
const MAX_INTERFACE: usize = 15;

/// What a virtual machine's network card is connected to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Net {
    /// Nothing: there is no card.
    None,
    /// The user-mode network.
    User {
        /// The guest reaches nothing; only published ports reach it.
        restrict: bool,
        /// The name server in place of the host's.
        dns: Option<SocketAddr>,
    },
    /// An interface of the host's.
    Tap(String),
    /// A private network of several virtual machines, by its directory.
    Socket(PathBuf),
}

impl Net {
    /// The same, with a relative path joined with a directory.
    #[must_use]
    pub fn within(self, directory: &Path) -> Self {
        match self {
            Net::Socket(path) => Net::Socket(directory.join(path)),
            other => other,
        }
    }
}

impl Default for Net {
    fn default() -> Self {
        Net::User {
            restrict: false,
            dns: None,
        }
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Net::None => f.write_str("none"),
            Net::User { restrict, dns } => {
                f.write_str("user")?;
                if *restrict {
                    f.write_str(",restrict")?;
                }
                match dns {
                    Some(dns) => write!(f, ",dns={dns}"),
                    None => Ok(()),
                }
            }
            Net::Tap(name) => write!(f, "tap={}", name.replace(',', ",,")),
            Net::Socket(path) => {
                let path = path.display().to_string();
                write!(f, "socket={}", path.replace(',', ",,"))
            }
        }
    }
}

/// A port of the guest's that programs of the host's reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Publish {
    /// Where the host listens.
    pub host: SocketAddr,
    /// The guest's port.
    pub guest: u16,
    /// UDP rather than TCP.
    pub udp: bool,
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let udp = if self.udp { "/udp" } else { "" };
        write!(f, "{}:{}{udp}", self.host, self.guest)
    }
}

/// Reads what a network card is connected to.
///
/// # Errors
///
/// The text says nothing of that kind.
pub fn parse_net(text: &str) -> Result<Net, String> {
    let (kind, value) = match text.split_once('=') {
        Some((kind, value)) if !kind.contains(',') => (kind, Some(value)),
        _ => (text, None),
    };
    match (kind, value) {
        ("none", None) => Ok(Net::None),
        ("tap", Some(value)) => {
            let name = &without_options(value, "tap")?;
            let good = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b':';
            if name.is_empty() || name.len() > MAX_INTERFACE || !name.bytes().all(good) {
                return Err(format!(
                    "{name:?} is not the name of an interface; write for instance tap=tap0"
                ));
            }
            Ok(Net::Tap(name.to_owned()))
        }
        ("socket", Some("")) => {
            Err("the directory's name is missing; write for instance socket=net".into())
        }
        ("socket", Some(value)) => Ok(Net::Socket(without_options(value, "socket")?.into())),
        _ => {
            let mut words = text.split(',');
            if words.next() != Some("user") {
                return Err(format!(
                    "{text:?} is not a network; write user, none, tap=NAME or socket=DIRECTORY"
                ));
            }
            let (mut restrict, mut dns) = (false, None);
            for word in words {
                match (word, word.strip_prefix("dns=")) {
                    ("restrict", _) => restrict = true,
                    (_, Some(address)) => dns = Some(parse_dns(address)?),
                    _ => {
                        return Err(format!(
                            "{word:?} is not a choice of user; there are restrict and dns=ADDRESS"
                        ));
                    }
                }
            }
            Ok(Net::User { restrict, dns })
        }
    }
}

/// A name, in which commas are written twice, since options may come after one.
fn without_options(text: &str, kind: &str) -> Result<String, String> {
    let (name, words) = split_options(text.as_bytes());
    if let Some(word) = words.first() {
        let word = String::from_utf8_lossy(word);
        return Err(format!(
            "{word:?} is not a choice of {kind}, which has none; {COMMAS}"
        ));
    }
    // Pieces of a text between commas are text.
    Ok(String::from_utf8_lossy(&name).into_owned())
}

/// A name server's address, with a port or without.
fn parse_dns(text: &str) -> Result<SocketAddr, String> {
    const PORT: u16 = 53;
    let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
    address.or_else(|_| text.parse()).map_err(|_| {
        format!(
            "{text:?} is not an address; write for instance dns=192.0.2.53 or dns=127.0.0.1:5353"
        )
    })
}

/// Reads a published port: `8080:80`, `0.0.0.0:8080:80`, `[::1]:5353:53/udp`.
///
/// # Errors
///
/// The text says nothing of that kind.
pub fn parse_publish(text: &str) -> Result<Publish, String> {
    let wrong = || {
        format!(
            "{text:?} is not a port to publish; write [ADDRESS:]HOSTPORT:GUESTPORT[/udp], for \
             instance 8080:80 or 0.0.0.0:5353:53/udp"
        )
    };
    if let Some((_, word)) = text.split_once(',') {
        return Err(format!(
            "{word:?} is not an option of a published port, which has none; write \
             [ADDRESS:]HOSTPORT:GUESTPORT[/udp], and --publish again for another port"
        ));
    }
    let (ports, udp) = match text.rsplit_once('/') {
        Some((ports, "udp")) => (ports, true),
        Some((ports, "tcp")) => (ports, false),
        Some((_, other)) => {
            return Err(format!(
                "{other:?} is not a protocol of a published port; there are tcp and udp, such as \
                 5353:53/udp"
            ));
        }
        None => (text, false),
    };
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(wrong()),
    };
    let (host, guest) = ports.rsplit_once(':').ok_or_else(wrong)?;
    let host = match host.rsplit_once(':') {
        None => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port(host)?),
        Some((address, host)) => {
            let bare = address
                .strip_prefix('[')
                .and_then(|address| address.strip_suffix(']'))
                .unwrap_or(address);
            let ip: IpAddr = bare.parse().map_err(|_| wrong())?;
            if ip.is_ipv6() == (bare == address) {
                return Err(wrong());
            }
            SocketAddr::new(ip, port(host)?)
        }
    };
    let guest = port(guest)?;
    Ok(Publish { host, guest, udp })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn networks() {
        let user = |restrict, dns: Option<&str>| {
            Ok(Net::User {
                restrict,
                dns: dns.map(|dns| dns.parse().expect("an address")),
            })
        };
        assert_eq!(parse_net("user"), Ok(Net::default()));
        assert_eq!(parse_net("user,restrict"), user(true, None));
        assert_eq!(
            parse_net("user,dns=192.0.2.1"),
            user(false, Some("192.0.2.1:53"))
        );
        assert_eq!(
            parse_net("user,dns=[::1]:5353,restrict"),
            user(true, Some("[::1]:5353"))
        );
        assert_eq!(parse_net("user,dns=::1"), user(false, Some("[::1]:53")));
        assert_eq!(parse_net("none"), Ok(Net::None));
        assert_eq!(parse_net("tap=tap0"), Ok(Net::Tap("tap0".into())));
        assert_eq!(parse_net("socket=a,,b=c"), Ok(Net::Socket("a,b=c".into())));
        for wrong in [
            "",
            "users",
            "user,",
            "user,dns=",
            "user,dns=nobody",
            "user=1",
            "none=1",
            "tap",
            "tap=",
            "tap=a/b",
            "tap=a-name-that-is-long",
            "socket=",
            "socket",
        ] {
            assert!(parse_net(wrong).is_err(), "{wrong:?}");
        }
        for (wrong, start) in [
            (
                "tap=tap0,up",
                "\"up\" is not a choice of tap, which has none;",
            ),
            (
                "socket=a,b=c",
                "\"b=c\" is not a choice of socket, which has none;",
            ),
            (
                "user,mtu=9",
                "\"mtu=9\" is not a choice of user; there are restrict",
            ),
        ] {
            let error = parse_net(wrong).expect_err(wrong);
            assert!(error.starts_with(start), "{error}");
        }
    }

    #[test]
    fn published_ports() {
        let publish = |host: &str, guest, udp| {
            let host = host.parse().expect("an address");
            Ok(Publish { host, guest, udp })
        };
        assert_eq!(
            parse_publish("8080:80"),
            publish("127.0.0.1:8080", 80, false)
        );
        assert_eq!(
            parse_publish("8080:80/tcp"),
            publish("127.0.0.1:8080", 80, false)
        );
        assert_eq!(parse_publish("0.0.0.0:1:2"), publish("0.0.0.0:1", 2, false));
        assert_eq!(
            parse_publish("[::1]:53:53/udp"),
            publish("[::1]:53", 53, true)
        );
        for wrong in [
            "",
            "80",
            ":80",
            "80:",
            "0:80",
            "80:0",
            "80:65536",
            "+8:80",
            "80:80/sctp",
            "::1:80:80",
            "[127.0.0.1]:80:80",
            "host:80:80",
            "1:2:3:4",
        ] {
            assert!(parse_publish(wrong).is_err(), "{wrong:?}");
        }
        for (wrong, part) in [
            ("80:80/sctp", "\"sctp\" is not a protocol"),
            ("80:80,udp", "\"udp\" is not an option"),
        ] {
            let error = parse_publish(wrong).expect_err(wrong);
            assert!(error.contains(part), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(text: String) {
            let _ = (parse_net(&text), parse_publish(&text));
        }

        #[test]
        fn what_is_shown_is_read_again(
            ip: IpAddr, host in 1..=65_535u16, guest in 1..=65_535u16, udp: bool, restrict: bool,
            path in "[a,=/]{1,9}",
        ) {
            let host = SocketAddr::new(ip, host);
            let publish = Publish { host, guest, udp };
            prop_assert_eq!(parse_publish(&publish.to_string()), Ok(publish));
            let net = Net::User { restrict, dns: Some(host) };
            prop_assert_eq!(parse_net(&net.to_string()), Ok(net));
            let net = Net::Socket(path.into());
            prop_assert_eq!(parse_net(&net.to_string()), Ok(net));
        }
    }
}
