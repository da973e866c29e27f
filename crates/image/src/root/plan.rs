//! In which order packages are installed: apt's own, from what it says when it only simulates.

use std::collections::BTreeSet;

/// A package's version in an architecture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// How apt names the file that it downloads.
    pub file: String,
}

impl Package {
    /// Of a line `Inst NAME (VERSION SOURCES [ARCHITECTURE])`.
    fn new(line: &str) -> Option<Self> {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(" (")?;
        let version = rest.split_whitespace().next()?;
        let (_, architecture) = rest.split_once(')')?.0.rsplit_once('[')?;
        let architecture = architecture.strip_suffix(']')?;
        // A colon is no character of a file's name for apt.
        let version = version.replace(':', "%3a");
        Some(Package {
            name: name.to_owned(),
            file: format!("{name}_{version}_{architecture}.deb"),
        })
    }
}

/// A step of the installation: the files of packages are put into place, or packages are configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Packages by their numbers.
    Unpack(Vec<usize>),
    /// Packages by their names.
    Configure(Vec<String>),
}

/// An installation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// The packages, in apt's order.
    pub packages: Vec<Package>,
    /// Which of them are there before any script of a package runs.
    pub essential: Vec<usize>,
    /// What makes the file system: packages that are unpacked for that alone.
    pub tools: Vec<usize>,
    /// What is done after the essential packages are installed.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Of what `apt-get --simulate install` says of all packages, of the essential ones alone, and of
    /// those that make the file system. `None` if there are none.
    pub fn new(all: &str, essential: &str, tools: &str) -> Option<Self> {
        let packages: Vec<Package> = all.lines().filter_map(Package::new).collect();
        let numbers = |text: &str| -> Vec<usize> {
            let names: BTreeSet<String> = text
                .lines()
                .filter_map(Package::new)
                .map(|package| package.name)
                .collect();
            let numbered = packages.iter().enumerate();
            numbered
                .filter(|(_, package)| names.contains(&package.name))
                .map(|(number, _)| number)
                .collect()
        };
        let (essential, tools) = (numbers(essential), numbers(tools));
        if essential.is_empty() || tools.is_empty() {
            return None;
        }
        let early: BTreeSet<&str> = essential
            .iter()
            .map(|&number| packages[number].name.as_str())
            .collect();
        let steps = steps(all, &packages, &early);
        Some(Plan {
            packages,
            essential,
            tools,
            steps,
        })
    }

    /// The steps as lines for the guest.
    pub fn lines(&self) -> String {
        let lines = self.steps.iter().map(|step| match step {
            Step::Unpack(numbers) => format!("unpack {}\n", words(numbers)),
            Step::Configure(names) => format!("configure {}\n", names.join(" ")),
        });
        lines.collect()
    }
}

/// Whether apt would install anything.
pub fn has_packages(simulated: &str) -> bool {
    simulated.lines().any(|line| Package::new(line).is_some())
}

/// Numbers with spaces between them.
pub fn words(numbers: &[usize]) -> String {
    let words: Vec<String> = numbers.iter().map(usize::to_string).collect();
    words.join(" ")
}

/// apt's steps, without the packages that are there before.
fn steps(all: &str, packages: &[Package], early: &BTreeSet<&str>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut next = 0;
    for line in all.lines() {
        if let Some(package) = Package::new(line) {
            let number = next;
            next += 1;
            if early.contains(package.name.as_str()) {
                continue;
            }
            match steps.last_mut() {
                Some(Step::Unpack(numbers)) => numbers.push(number),
                _ => steps.push(Step::Unpack(vec![number])),
            }
        } else if let Some(rest) = line.strip_prefix("Conf ") {
            let name = rest.split_whitespace().next().unwrap_or_default();
            let known = packages.iter().any(|package| package.name == name);
            if early.contains(name) || !known {
                continue;
            }
            match steps.last_mut() {
                Some(Step::Configure(names)) => names.push(name.to_owned()),
                _ => steps.push(Step::Configure(vec![name.to_owned()])),
            }
        }
    }
    // All that is left is configured at the end anyway.
    if let Some(Step::Configure(_)) = steps.last() {
        steps.pop();
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "Reading package lists...\n\
        Inst libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [armhf])\n\
        Conf libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [armhf])\n\
        Inst e2fsprogs (1.47.0-2 Debian:12.15/oldstable [armhf])\n\
        Inst zlib1g (1:1.2.13.dfsg-1 Debian:12.15/oldstable [armhf]) [x:armhf on y]\n\
        Conf e2fsprogs (1.47.0-2 Debian:12.15/oldstable [armhf])\n\
        Inst adduser (3.134 Debian:12.15/oldstable [all])\n\
        Conf adduser (3.134 Debian:12.15/oldstable [all])\n\
        Inst dbus (1.14.10-1 Debian:12.15/oldstable, x:y/z [armhf])\n\
        Inst systemd (252 Debian:12.15/oldstable [armhf])\n\
        Conf zlib1g (1:1.2.13.dfsg-1 Debian:12.15/oldstable [armhf])\n\
        Conf dbus (1.14.10-1 Debian:12.15/oldstable, x:y/z [armhf])\n";
    const ESSENTIAL: &str = "Inst libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [armhf])\n";
    const TOOLS: &str = "Inst libc6 (2.36 a [armhf])\nInst e2fsprogs (1.47.0-2 b [armhf])\n";

    #[test]
    fn files_are_named_as_apt_names_them() {
        let plan = Plan::new(ALL, ESSENTIAL, TOOLS).unwrap();
        let files: Vec<&str> = plan.packages.iter().map(|p| p.file.as_str()).collect();
        assert_eq!(
            files,
            [
                "libc6_2.36-9+deb12u14_armhf.deb",
                "e2fsprogs_1.47.0-2_armhf.deb",
                "zlib1g_1%3a1.2.13.dfsg-1_armhf.deb",
                "adduser_3.134_all.deb",
                "dbus_1.14.10-1_armhf.deb",
                "systemd_252_armhf.deb"
            ]
        );
        assert_eq!((plan.essential, plan.tools), (vec![0], vec![0, 1]));
    }

    #[test]
    fn the_order_is_apts_without_what_is_there_before() {
        let plan = Plan::new(ALL, ESSENTIAL, TOOLS).unwrap();
        assert_eq!(
            plan.lines(),
            "unpack 1 2\nconfigure e2fsprogs\nunpack 3\nconfigure adduser\nunpack 4 5\n"
        );
    }

    #[test]
    fn nothing_is_no_plan() {
        for (all, essential, tools) in [("", "", ""), (ALL, "", TOOLS), (ALL, ESSENTIAL, "")] {
            assert_eq!(Plan::new(all, essential, tools), None);
        }
    }
}
