//! What is wrong with the command line, as the user reads it: a sentence with a remedy.

use crate::STATUS_USAGE;
use crate::args::Cli;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use skep_config::similar;
use std::error::Error;
use std::io::Write;

/// The command line. The program ends if that is wrong, or asks for help.
pub fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| match sentence(&error) {
        Some(text) => refuse(&text),
        None => error.exit(),
    })
}

/// Ends the program, whose command line is wrong.
pub fn refuse(text: &str) -> ! {
    // A closed standard error leaves the status to tell.
    let _ = writeln!(std::io::stderr(), "skep: {text}");
    std::process::exit(STATUS_USAGE.into());
}

/// What is wrong and what to do; None if nothing is, and help is wanted.
fn sentence(error: &clap::Error) -> Option<String> {
    let of = |kind| texts(error, kind);
    let one = |kind| of(kind).into_iter().next().unwrap_or_default();
    let argument = one(ContextKind::InvalidArg);
    let (name, value) = (option(&argument), one(ContextKind::InvalidValue));
    let meant = |kind| match of(kind).into_iter().next() {
        Some(meant) => format!("did you mean {meant}? "),
        None => String::new(),
    };
    Some(match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => return None,
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("{name} needs a value; write {}", plain(&argument))
        }
        ErrorKind::InvalidValue => format!(
            "{name} can't be {value:?}; {}write {}",
            meant(ContextKind::SuggestedValue),
            list(&of(ContextKind::ValidValue), "or")
        ),
        ErrorKind::ValueValidation => match error.source() {
            Some(reason) => format!("{name}: {reason}"),
            None => format!("{name} can't be {value:?}; write {}", plain(&argument)),
        },
        ErrorKind::TooManyValues => {
            format!("{name} takes no value; leave {value:?} out")
        }
        ErrorKind::UnknownArgument if argument.starts_with('-') => format!(
            "there is no option {argument}; {}{}",
            meant(ContextKind::SuggestedArg),
            see(error)
        ),
        ErrorKind::UnknownArgument => too_many(&argument, error),
        ErrorKind::InvalidSubcommand => format!(
            "{} has no command {:?}; {}{}",
            command(error),
            one(ContextKind::InvalidSubcommand),
            meant(ContextKind::SuggestedSubcommand),
            see(error)
        ),
        ErrorKind::MissingRequiredArgument => {
            let missing: Vec<String> = of(ContextKind::InvalidArg)
                .iter()
                .map(|argument| plain(argument))
                .collect();
            let (names, is) = (list(&missing, "and"), are(missing.len()));
            format!("{names} {is} missing; write {}", usage(error).join(" or "))
        }
        ErrorKind::ArgumentConflict => {
            let other = one(ContextKind::PriorArg);
            match other == argument {
                true => format!("{name} is given twice; leave one out"),
                false => format!(
                    "{name} can't be given with {}; leave one out",
                    option(&other)
                ),
            }
        }
        ErrorKind::InvalidUtf8 => {
            "an argument is not UTF-8, as only the names of files may be; write another one".into()
        }
        // None of these options and commands have others.
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            let line = line.trim_start_matches("error: ");
            format!("the command line is wrong ({line}); {}", see(error))
        }
    })
}

/// An argument that nothing takes.
fn too_many(argument: &str, error: &clap::Error) -> String {
    let root = Cli::command();
    let (path, see) = (command(error), see(error));
    if path != root.get_name() {
        return format!(
            "there is no place for {argument:?}; write {}",
            usage(error).join(" or ")
        );
    }
    let known = || root.get_subcommands().map(clap::Command::get_name);
    if known().any(|name| name == argument) {
        return format!(
            "the command {argument} comes before options; write {path} {argument} first"
        );
    }
    let meant = match similar(argument, known()) {
        Some(meant) => format!("did you mean {meant}? "),
        None => String::new(),
    };
    format!(
        "{path} has no command {argument:?}; {meant}{see}, and {path} -- {argument} runs one in the guest"
    )
}

/// The values of a kind that clap gives with an error.
fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

/// An argument's name alone: that of `--watchdog <WHAT>` is `--watchdog`.
fn option(argument: &str) -> String {
    let name = argument
        .split([' ', '=', '['])
        .find(|part| !part.is_empty());
    plain(name.unwrap_or_default())
}

/// An argument without marks of what its user has to put in.
fn plain(argument: &str) -> String {
    argument.replace(['<', '>'], "")
}

/// The lines of the usage that clap gives with an error.
fn usage(error: &clap::Error) -> Vec<String> {
    let Some(ContextValue::StyledStr(text)) = error.get(ContextKind::Usage) else {
        return Vec::new();
    };
    let text = text.to_string();
    let lines = text.trim_start_matches("Usage:").lines();
    lines.map(|line| plain(line.trim())).collect()
}

/// The command with what is wrong: `skep image`, for instance.
fn command(error: &clap::Error) -> String {
    let usage = usage(error);
    let words = usage.first().map_or("skep", String::as_str).split(' ');
    let is_name = |word: &&str| word.starts_with(|first: char| first.is_ascii_lowercase());
    words.take_while(is_name).collect::<Vec<_>>().join(" ")
}

/// Where to look.
fn see(error: &clap::Error) -> String {
    format!("{} --help lists what there is", command(error))
}

fn are(count: usize) -> &'static str {
    match count {
        1 => "is",
        _ => "are",
    }
}

/// A list in a sentence.
fn list(words: &[String], last: &str) -> String {
    match words {
        [] => String::new(),
        [word] => word.clone(),
        [words @ .., word] => format!("{} {last} {word}", words.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(line: &str) -> Option<String> {
        let words = line.split_whitespace();
        let error = Cli::try_parse_from(words).expect_err("it is wrong");
        sentence(&error)
    }

    #[test]
    fn each_error_has_a_remedy() {
        for (line, text) in [
            (
                "skep run --watchdog bark",
                "--watchdog can't be \"bark\"; write reset, poweroff or none",
            ),
            (
                "skep run --stats=tex",
                "--stats can't be \"tex\"; did you mean text? write text or json",
            ),
            (
                "skep completions fsh",
                "SHELL can't be \"fsh\"; did you mean fish? write bash, elvish, fish, powershell or zsh",
            ),
            (
                "skep run --wtchdog reset",
                "there is no option --wtchdog; did you mean --watchdog? skep run --help lists what there is",
            ),
            (
                "skep run ls -l",
                "there is no option -l; skep run --help lists what there is",
            ),
            (
                "skep check --jsn",
                "there is no option --jsn; did you mean --json? skep check --help lists what there is",
            ),
            (
                "skep rum",
                "skep has no command \"rum\"; did you mean run? skep --help lists what there is, and \
                 skep -- rum runs one in the guest",
            ),
            (
                "skep --cpu cortex-a7 run",
                "the command run comes before options; write skep run first",
            ),
            (
                "skep image crate",
                "skep image has no command \"crate\"; did you mean create? skep image --help lists what \
                 there is",
            ),
            (
                "skep image frob",
                "skep image has no command \"frob\"; skep image --help lists what there is",
            ),
            (
                "skep init a b",
                "there is no place for \"b\"; write skep init [FILE]",
            ),
            (
                "skep run --memory",
                "--memory needs a value; write --memory SIZE",
            ),
            (
                "skep run --memory 5Q",
                "--memory: \"5Q\" is not a size; write a number with K, M or G, such as 512M or 1G",
            ),
            (
                "skep run --cpus 9",
                "--cpus: \"9\" is no number of CPUs; write 1 to 8",
            ),
            (
                "skep run --no-sandbox=1",
                "--no-sandbox takes no value; leave \"1\" out",
            ),
            (
                "skep run --kernel a --kernel b",
                "--kernel is given twice; leave one out",
            ),
            (
                "skep image create",
                "--size SIZE and FILE are missing; write skep image create --size SIZE FILE",
            ),
            (
                "skep completions",
                "SHELL is missing; write skep completions SHELL",
            ),
        ] {
            assert_eq!(wrong(line).as_deref(), Some(text), "{line}");
        }
    }

    #[test]
    fn help_is_no_error() {
        for line in ["skep --help", "skep --version", "skep image", "skep run -h"] {
            assert_eq!(wrong(line), None, "{line}");
        }
    }

    #[test]
    fn bytes_that_are_no_text() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let words = [
            "skep".as_ref(),
            "--append".as_ref(),
            OsStr::from_bytes(b"\xff"),
        ];
        let error = Cli::try_parse_from(words).expect_err("it is wrong");
        let text = sentence(&error).expect("no help");
        assert!(text.contains("not UTF-8"), "{text}");
    }
}
