//! Values that are written as text: sizes, times, and names with options.

/// What must be said of a name with a comma in it.
pub const COMMAS: &str = "a comma of the name itself is written twice (,,)";

/// A name, such as a file's, and the words that follow it after commas. In both, a comma that belongs to
/// them is written twice.
#[must_use]
pub fn split_options(text: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut words, mut word) = (Vec::new(), Vec::new());
    let mut bytes = text.iter().peekable();
    while let Some(&byte) = bytes.next() {
        if byte == b',' && bytes.next_if(|next| **next == b',').is_none() {
            words.push(std::mem::take(&mut word));
        } else {
            word.push(byte);
        }
    }
    words.push(word);
    let name = words.remove(0);
    (name, words)
}

/// A size such as 512M, in bytes; without a suffix, in MiB.
///
/// # Errors
///
/// The text is no size, or none that fits 64 bits.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("{text:?} is not a size; write a number with K, M or G, such as 512M or 1G");
    let (digits, shift) = match text.trim_end_matches(['B', 'b', 'i']).to_ascii_uppercase() {
        upper if upper.ends_with('K') => (upper[..upper.len() - 1].to_owned(), 10),
        upper if upper.ends_with('M') => (upper[..upper.len() - 1].to_owned(), 20),
        upper if upper.ends_with('G') => (upper[..upper.len() - 1].to_owned(), 30),
        upper => (upper, 20),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// The size of a virtual machine's memory: as [`parse_size`], whole MiB.
///
/// # Errors
///
/// The text is no size, or not a whole number of MiB.
pub fn parse_memory(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text)?;
    if !bytes.is_multiple_of(1 << 20) {
        return Err(format!(
            "{text:?} is not a whole number of MiB; write for instance 512M"
        ));
    }
    Ok(bytes)
}

/// A size as [`parse_size`] reads it, with the largest suffix that leaves a whole number.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    for (shift, suffix) in [(30, 'G'), (20, 'M')] {
        if bytes != 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{suffix}", bytes >> shift);
        }
    }
    format!("{}K", bytes >> 10)
}

/// A time such as 2ms or 500us, in microseconds.
///
/// # Errors
///
/// The text is no time.
pub fn parse_time(text: &str) -> Result<u64, String> {
    let wrong =
        || format!("{text:?} is not a time; write a number with us, ms or s, such as 2ms or 500us");
    let (digits, factor) = if let Some(digits) = text.strip_suffix("us") {
        (digits, 1)
    } else if let Some(digits) = text.strip_suffix("ms") {
        (digits, 1000)
    } else if let Some(digits) = text.strip_suffix('s') {
        (digits, 1_000_000)
    } else {
        return Err(wrong());
    };
    let digits = digits.trim_end();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

/// A time as [`parse_time`] reads it, with the largest unit that leaves a whole number.
#[must_use]
pub fn show_time(microseconds: u64) -> String {
    match microseconds {
        us if us != 0 && us.is_multiple_of(1_000_000) => format!("{}s", us / 1_000_000),
        us if us != 0 && us.is_multiple_of(1000) => format!("{}ms", us / 1000),
        us => format!("{us}us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_and_options() {
        let split = |text: &str| {
            let (name, words) = split_options(text.as_bytes());
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
            (text(name), words.into_iter().map(text).collect::<Vec<_>>())
        };
        for (text, name, words) in [
            ("", "", &[][..]),
            ("a", "a", &[]),
            ("a,b,c=d", "a", &["b", "c=d"]),
            ("a,,b", "a,b", &[]),
            ("a,,,b,,c", "a,", &["b,c"]),
            (",,", ",", &[]),
            ("a,", "a", &[""]),
        ] {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(split(text), (name.to_owned(), words), "{text}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_memory("512M"), Ok(512 << 20));
        assert_eq!(parse_memory("512"), Ok(512 << 20));
        assert_eq!(parse_memory("1g"), Ok(1 << 30));
        assert_eq!(parse_memory("2GiB"), Ok(2 << 30));
        assert_eq!(parse_memory("2048K"), Ok(2 << 20));
        assert_eq!(parse_size("4K"), Ok(4096));
        for wrong in [
            "",
            "M",
            "-1M",
            "+1M",
            "1.5G",
            "x",
            "1k",
            "99999999999G",
            "é",
        ] {
            assert!(parse_memory(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(parse_time("2ms"), Ok(2000));
        assert_eq!(parse_time("500 us"), Ok(500));
        assert_eq!(parse_time("1s"), Ok(1_000_000));
        for wrong in ["", "2", "ms", "-1ms", "1.5ms", "2m", "99999999999999s", "é"] {
            assert!(parse_time(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(number in 0..1_u64 << 40) {
            prop_assert_eq!(parse_size(&show_size(number << 10)), Ok(number << 10));
            prop_assert_eq!(parse_time(&show_time(number)), Ok(number));
        }

        #[test]
        fn no_text_makes_it_fail(text: String) {
            let _ = (parse_memory(&text), parse_time(&text));
        }
    }
}
