//! What a guest may take.

use super::*;
use crate::wire::open;
use std::fs;

fn few() -> Limits {
    Limits {
        handles: 10,
        nodes: 5,
        entries: 1000,
    }
}

#[test]
fn open_files_are_limited() {
    let mut guest = Guest::with(false, few());
    fs::write(guest.shared("a"), "").unwrap();
    let node = guest.walk("a").unwrap().node;
    let handles: Vec<u64> = (0..10).map(|_| guest.open(node, 0).unwrap()).collect();
    assert_eq!(guest.open(node, 0), Err(Errno::MFILE));
    assert_eq!(guest.open_directory(ROOT), Err(Errno::MFILE));
    assert_eq!(
        guest.create(ROOT, "x", open::WRITE).unwrap_err(),
        Errno::MFILE
    );
    assert!(!guest.shared("x").exists());
    guest.release(handles[4]);
    assert!(guest.open(node, 0).is_ok());
    // A guest that starts anew has nothing open.
    guest.start();
    assert_eq!(guest.server.open_count(), 0);
    assert_eq!(guest.read(handles[0], 0, 1), Err(Errno::BADF));
}

#[test]
fn known_files_are_limited() {
    let mut guest = Guest::with(false, few());
    for number in 0..8 {
        fs::write(guest.shared(&number.to_string()), "").unwrap();
    }
    let nodes: Vec<u64> = (0..5)
        .map(|number| guest.walk(&number.to_string()).unwrap().node)
        .collect();
    assert_eq!(guest.walk("5"), Err(Errno::NFILE));
    // A list tells the names all the same.
    assert_eq!(guest.names(ROOT, true).len(), 8);
    assert_eq!(guest.server.node_count(), 5);
    // The list was one more look at each.
    let forget: Vec<u64> = nodes.iter().flat_map(|node| [*node, 2]).collect();
    let body = [words(&[nodes.len() as u64]), words(&forget)].concat();
    let mut reply = vec![1];
    guest
        .server
        .serve(&message(42, 0, 0, &body), ROOM, &mut reply);
    assert_eq!((reply.len(), guest.server.node_count()), (0, 0));
    assert!(guest.walk("5").is_ok());
    assert_eq!(guest.stat(nodes[0]), Err(Errno::STALE));
    // More than there is, and the root, which stays.
    guest
        .server
        .serve(&message(2, 0, ROOT, &words(&[u64::MAX])), ROOM, &mut reply);
    assert!(guest.stat(ROOT).is_ok());
}

#[test]
fn directories_that_are_read_are_limited_together() {
    let mut guest = Guest::with(false, few());
    for number in 0..600 {
        fs::write(guest.shared(&format!("{number:04}")), "").unwrap();
    }
    let read = |guest: &mut Guest, handle| {
        let (mut count, mut offset) = (0, 0);
        loop {
            let piece = guest.list(handle, offset, 4096, false)?;
            let Some((_, _, next)) = piece.last() else {
                return Ok(count);
            };
            (count, offset) = (count + piece.len(), *next);
        }
    };
    let first = guest.open_directory(ROOT).unwrap();
    assert_eq!(read(&mut guest, first), Ok(602));
    let second = guest.open_directory(ROOT).unwrap();
    assert_eq!(read(&mut guest, second), Err(Errno::NOMEM));
    guest.release(first);
    assert_eq!(read(&mut guest, second), Ok(602));
}

#[test]
fn half_of_the_hosts_files_are_left_to_others() {
    let one = Limits::for_servers(1).handles;
    let two = Limits::for_servers(2).handles;
    assert!(two <= one / 2 + 16 && two >= 16, "{one} {two}");
}
