//! The default guest on its network: with servers on this host, and with another guest. Nothing here
//! needs the Internet.

use skep_tests::{PATIENCE, Session, assert_refused, run, skep_path, stderr, stdout};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const LOCAL: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// A port that nobody has on this host.
fn free_port() -> u16 {
    let listener = TcpListener::bind(LOCAL).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Serves one file over HTTP; returns the port.
fn http(contents: Vec<u8>) -> u16 {
    let listener = TcpListener::bind(LOCAL).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a request");
                request.push(byte[0]);
            }
            let len = contents.len();
            let header = format!("HTTP/1.0 200 OK\r\nContent-Length: {len}\r\n\r\n");
            // A client that has seen enough closes.
            let _ = stream.write_all(header.as_bytes());
            let _ = stream.write_all(&contents);
        }
    });
    port
}

/// Runs a shell script in the default guest, with these options of `skep run`.
fn script(options: &[&str], script: &str) -> String {
    let words = [&["run"], options, &["--", "sh", "-c", script]].concat();
    let output = run(&words, b"");
    let text = stdout(&output);
    assert!(output.status.success(), "{text}\n{}", stderr(&output));
    text
}

#[test]
fn a_file_comes_over_http() {
    let contents: Vec<u8> = (0..5_000_000u32)
        .map(|i| (i.wrapping_mul(i) >> 8) as u8)
        .collect();
    let port = http(contents.clone());
    let text = script(
        &[],
        &format!("wget -q -O - http://10.0.2.2:{port}/file | md5sum"),
    );
    let mut local = Command::new("md5sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("md5sum");
    let mut input = local.stdin.take().expect("a pipe");
    input.write_all(&contents).expect("md5sum reads");
    drop(input);
    let expected = local.wait_with_output().expect("md5sum ends");
    assert_eq!(text, stdout(&expected));
}

#[test]
fn the_guest_is_set_up_when_its_command_runs() {
    let text = script(
        &[],
        "ifconfig eth0 | grep -o 'inet addr:[0-9.]*'; cat /sys/class/net/eth0/address; \
         ip route; cat /etc/resolv.conf; ping -c 1 10.0.2.2 >/dev/null && echo alive; \
         udhcpc -n -q -i eth0 -s /bin/true 2>&1 | grep -o 'lease of .* obtained'; \
         nc 10.0.2.2 9; echo $?; \
         tries=0; while ! ping -6 -c 1 fec0::2 >/dev/null 2>&1 && [ $tries -lt 50 ]; do \
         tries=$((tries + 1)); usleep 100000; done; ping -6 -c 1 fec0::2 >/dev/null && echo v6",
    );
    let expected = "inet addr:10.0.2.15\n52:54:00:12:34:56\n\
        default via 10.0.2.2 dev eth0 \n10.0.2.0/24 dev eth0 scope link  src 10.0.2.15 \n\
        nameserver 10.0.2.3\nalive\nlease of 10.0.2.15 obtained\n1\nv6\n";
    // Nothing listens at port 9, which the guest is told as the refusal it is.
    assert_eq!(
        text.replace(
            "nc: can't connect to remote host (10.0.2.2): Connection refused\n",
            ""
        ),
        expected
    );
    assert!(text.contains("Connection refused"), "{text}");
}

#[test]
fn uploads_end_when_the_guest_ends_them() {
    let listener = TcpListener::bind(LOCAL).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut received = Vec::new();
        // It reads slowly at first: what the guest sends meanwhile waits in the guest.
        thread::sleep(Duration::from_millis(500));
        stream.read_to_end(&mut received).expect("all of it");
        stream
            .write_all(b"thanks\n")
            .expect("the guest still reads");
        received
    });
    let text = script(
        &[],
        &format!("seq 1 500000 | nc 10.0.2.2 {port}; seq 1 500000 | wc -c"),
    );
    let received = server.join().expect("no panic");
    assert_eq!(text, format!("thanks\n{}\n", received.len()));
    let lines = String::from_utf8(received).expect("numbers");
    let numbers = lines
        .lines()
        .map(|line| line.parse::<u32>().expect("a number"));
    assert!(numbers.eq(1..=500_000));
}

/// Connects to a port of this host until somebody there answers something.
fn ask(port: u16) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut answer = String::new();
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        if let Ok(mut stream) = TcpStream::connect(address) {
            let _ = stream.write_all(b"question\n");
            let _ = stream.read_to_string(&mut answer);
        }
        if !answer.is_empty() {
            return answer;
        }
        assert!(Instant::now() < deadline, "nobody answers");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn published_ports_are_reached() {
    let port = free_port();
    let publish = format!("{port}:80");
    let script = "echo 'read line; echo heard $line' >/tmp/server; \
                  while true; do nc -l -p 80 -e /bin/sh /tmp/server; done";
    let session = Session::start(&["run", "--publish", &publish, "--", "sh", "-c", script]);
    assert_eq!(ask(port), "heard question\n");
    drop(session);
}

/// A name server that knows one name, `guest.example`, at 192.0.2.77.
fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind(LOCAL).expect("a free port");
    let address = socket.local_addr().expect("an address");
    thread::spawn(move || {
        let mut buffer = [0; 600];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let question = buffer[..len].to_vec();
            let name = b"\x05guest\x07example\0";
            let Some(at) = question.windows(name.len()).position(|bytes| bytes == name) else {
                continue;
            };
            let end = at + name.len() + 4;
            let wants_v4 = question[at + name.len() + 1] == 1;
            let mut answer = question[..end].to_vec();
            // An answer, recursion available, one question.
            answer[2..8].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(wants_v4)]);
            answer[8..12].fill(0);
            if wants_v4 {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 77]);
            }
            let _ = socket.send_to(&answer, from);
        }
    });
    address
}

#[test]
fn names_are_looked_up() {
    let net = format!("user,dns={}", name_server());
    let text = script(
        &["--net", &net],
        "nslookup guest.example | grep -o '192.0.2.77'",
    );
    assert_eq!(text, "192.0.2.77\n");
}

#[test]
fn a_guest_without_a_network_has_none_and_a_restricted_one_no_way_out() {
    assert_eq!(script(&["--net", "none"], "ls /sys/class/net"), "lo\n");
    let port = http(b"secret".to_vec());
    let text = script(
        &["--net", "user,restrict"],
        &format!(
            "ip route; route add default gw 10.0.2.2; wget -T 5 -q -O - http://10.0.2.2:{port}/ || \
             echo refused"
        ),
    );
    assert!(
        text.ends_with("refused\n") && !text.contains("default"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn two_machines_share_a_private_network() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("net");
    let net = format!("socket={}", path.display());
    let start = |script: &str| Session::start(&["run", "--net", &net, "--", "sh", "-c", script]);
    let mut first = start(
        "ifconfig eth0 | grep -o 'addr:10.0.3.[0-9]*'; echo ready; \
         (tail -f /dev/null | nc -l -p 80 | md5sum) & \
         while true; do echo again | nc -l -p 81; done",
    );
    first.expect("addr:10.0.3.1\r\n".trim_end()).expect("ready");
    let second = start(
        "ifconfig eth0 | grep -o 'addr:10.0.3.[0-9]*'; seq 1 500000 >/tmp/file; md5sum </tmp/file; \
         nc 10.0.3.1 80 </tmp/file",
    );
    let output = second.finish();
    let text = stdout(&output);
    let sum = text
        .strip_prefix("addr:10.0.3.2\n")
        .expect("the second address");
    let sum = sum.split_whitespace().next().expect("a sum");
    first.expect(sum);
    // Who left makes room, and another one takes it.
    let third = start("nc 10.0.3.1 81 </dev/null; ifconfig eth0 | grep -o 'addr:10.0.3.[0-9]*'");
    assert_eq!(stdout(&third.finish()), "again\naddr:10.0.3.2\n");
    drop(first);
}

/// In a network namespace of its own, where an ordinary user may make a tap, if the host lets users have
/// namespaces.
#[test]
fn a_tap_reaches_the_host() {
    let tap = "ip tuntap add tap0 mode tap && ip addr add 192.0.2.1/30 dev tap0 && \
               ip link set tap0 up";
    let namespace = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "sh", "-c", script, "sh"]);
        command.stdin(Stdio::null());
        command
    };
    match namespace(tap).output() {
        Ok(output) if output.status.success() => {}
        refused => {
            println!("not tried, for this host lets nobody make a tap: {refused:?}");
            return;
        }
    }
    let guest = "ip addr add 192.0.2.2/30 dev eth0; ip link set eth0 up; ping -c 1 192.0.2.1";
    let output = namespace(&format!("{tap} && exec \"$@\""))
        .arg(skep_path())
        .args(["run", "--net", "tap=tap0", "--", "sh", "-c", guest])
        .output()
        .expect("it runs");
    let text = stdout(&output);
    assert!(output.status.success(), "{text}\n{}", stderr(&output));
    assert!(text.contains("1 packets received"), "{text}");
}

#[test]
fn networks_that_can_not_be_are_refused() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("file");
    std::fs::write(&file, b"").expect("writable");
    let socket = format!("socket={}", file.display());
    let taken = TcpListener::bind(LOCAL).expect("a free port");
    let port = taken.local_addr().expect("an address").port();
    let publish = format!("{port}:80");
    for (options, parts) in [
        (["--net", "tap=no/tap"], &["no/tap", "interface"][..]),
        (["--net", "elsewhere"], &["elsewhere", "socket=DIRECTORY"]),
        (["--net", &socket], &["private network", "another one"]),
        (["--publish", "80"], &["HOSTPORT:GUESTPORT"]),
        (
            ["--publish", &publish],
            &["can't be published", "choose another"],
        ),
        (["--publish=80:80", "--net=none"], &["user-mode network"]),
    ] {
        let words = [&["run"], &options[..], &["--", "true"]].concat();
        assert_refused(&run(&words, b""), parts);
    }
}
