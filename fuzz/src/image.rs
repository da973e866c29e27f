//! What the default guest is told and answers: the archive with a command is read back as the
//! command, input survives its encoding, and a command's output and status come out of whatever
//! else is on the console.

use crate::input::Input;
use skep_image::{CommandOutput, command_overlay, encode_input, end_of_input};

pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.u8() % 3 {
        0 => overlays(&mut input),
        1 => encoding(input.rest()),
        _ => output(&mut input),
    }
}

fn overlays(input: &mut Input<'_>) {
    let stdin = input.bool();
    let mut argv = Vec::new();
    while !input.is_empty() && argv.len() < 16 {
        let len = input.below(32);
        let word = String::from_utf8_lossy(input.take(len)).replace('\0', "");
        argv.push(word);
    }
    let files = read_archive(&command_overlay(&argv, "token", stdin));
    let file = |name: &str| {
        files
            .iter()
            .find(|file| file.0 == name)
            .map(|file| &file.1[..])
    };
    assert_eq!(file("skep/token"), Some(&b"token\n"[..]));
    assert_eq!(file("skep/stdin").is_some(), stdin);
    let run = file("skep/run").expect("the command is there");
    let run = std::str::from_utf8(run).expect("it is text");
    let words = run
        .strip_prefix("exec --")
        .and_then(|run| run.strip_suffix('\n'));
    let words = words.expect("it is one line that the shell executes");
    assert_eq!(shell_words(words), argv);
}

/// Names and contents of a "newc" archive's entries.
fn read_archive(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    const HEADER: usize = 110;
    assert!(bytes.len().is_multiple_of(512));
    let (mut at, mut files) = (0, Vec::new());
    loop {
        let header = std::str::from_utf8(&bytes[at..at + HEADER]).expect("a header is text");
        assert_eq!(&header[..6], "070701");
        let field = |n: usize| {
            let digits = &header[6 + 8 * n..14 + 8 * n];
            usize::from_str_radix(digits, 16).expect("a field is hexadecimal")
        };
        let (size, name_len) = (field(6), field(11));
        let name_end = at + HEADER + name_len;
        let name = String::from_utf8_lossy(&bytes[at + HEADER..name_end - 1]).into_owned();
        assert_eq!(bytes[name_end - 1], 0);
        let start = name_end.next_multiple_of(4);
        if name == "TRAILER!!!" {
            assert!(bytes[start..].iter().all(|&byte| byte == 0));
            return files;
        }
        files.push((name, bytes[start..start + size].to_vec()));
        at = (start + size).next_multiple_of(4);
    }
}

/// Splits a line as a POSIX shell does, as far as single quotes and backslashes go; nothing else that
/// is special to a shell may stand outside quotes.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().expect("a quote is closed") {
                        '\'' => break,
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c => panic!("{c:?} is not quoted in {line}"),
        }
    }
    words.extend(word);
    words
}

fn encoding(bytes: &[u8]) {
    /// The end-of-file character.
    const EOT: u8 = 4;
    let encoded = encode_input(bytes);
    assert_ne!(encoded, end_of_input());
    let Some(lines) = encoded.strip_prefix(b"+\n") else {
        assert!(encoded.is_empty() && bytes.is_empty());
        return;
    };
    let lines = lines.strip_suffix(&[EOT]).expect("an end of file");
    let mut decoded = Vec::new();
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        // What a terminal's line discipline takes.
        assert!(line.len() < 4096 && line.ends_with(b"\n"));
        for group in line[..line.len() - 1].chunks(4) {
            let digits = group.iter().take_while(|&&byte| byte != b'=');
            let mut bits = 0u32;
            let mut count = 0;
            for digit in digits {
                let value = match digit {
                    b'A'..=b'Z' => digit - b'A',
                    b'a'..=b'z' => digit - b'a' + 26,
                    b'0'..=b'9' => digit - b'0' + 52,
                    b'+' => 62,
                    b'/' => 63,
                    _ => panic!("{digit:#x} is no digit of base64"),
                };
                bits |= u32::from(value) << (18 - 6 * count);
                count += 1;
            }
            assert!(group.len() == 4 && count >= 2);
            decoded.extend_from_slice(&bits.to_be_bytes()[1..count]);
        }
    }
    assert_eq!(decoded, bytes);
}

/// Pieces of the markers, so that near misses come up.
fn noise(input: &mut Input<'_>) -> Vec<u8> {
    const PIECES: [&str; 8] = [
        "\x1eskep-",
        "aa",
        "begin-",
        "end-",
        "\n",
        "\x1eskep-end-aa",
        "\x1e",
        "-",
    ];
    let mut noise = Vec::new();
    for _ in 0..input.below(16) {
        match input.u8() {
            byte @ 0..0x80 => noise.extend(PIECES[usize::from(byte) % 8].bytes()),
            byte => noise.push(byte & 0x7f),
        }
    }
    noise
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn output(input: &mut Input<'_>) {
    const START: &[u8] = b"\x1eskep-begin-aa\n";
    const END: &[u8] = b"\x1eskep-end-aa-";
    let (before, status) = (noise(input), input.u8());
    let (payload, after) = (noise(input), noise(input));
    let console = [
        &before[..],
        START,
        &payload,
        END,
        status.to_string().as_bytes(),
        b"\n",
        &after,
    ]
    .concat();
    let mut command = CommandOutput::new("aa");
    let mut out = Vec::new();
    for byte in console {
        command.feed(byte, &mut out);
    }
    assert!(command.started());
    // Noise can have a marker of its own, which counts if it is the first.
    let early = |bytes: &[u8], marker: &[u8]| {
        let whole = [bytes, marker].concat();
        contains(&whole[..whole.len() - 1], marker)
    };
    if !early(&before, START) && !early(&payload, END) {
        assert_eq!(out, payload);
        assert_eq!(command.status(), Some(status));
    }
}
