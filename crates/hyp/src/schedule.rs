//! Who runs on a time-shared core: fixed priorities, turns within a priority, budgets.
//!
//! This is arithmetic on the counter's ticks alone. The core tells what each vCPU wants, runs who is
//! [decided](Scheduler::decide), and says for how long it ran.

use alloc::vec::Vec;

/// What a vCPU wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Demand {
    /// Nothing, until something happens.
    Nothing,
    /// To run.
    Now,
    /// To run from this time on.
    At(u64),
}

/// A vCPU's share, in ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// The higher runs first.
    pub priority: u8,
    /// How long it may run in a period, if that is limited, and the period; neither is 0.
    pub budget: Option<(u64, u64)>,
}

/// Who runs, and when to decide again at the latest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Its index; `None` if nobody can run.
    pub run: Option<usize>,
    /// The time when another decision may be due.
    pub until: Option<u64>,
}

struct Entry {
    share: Share,
    /// What is left of its budget.
    left: u64,
    /// When the budget is whole again.
    renewal: u64,
    /// Its place among those that wait, the lowest first; `None` while it wants nothing.
    turn: Option<u64>,
    /// What is left of its slice.
    slice: u64,
    /// When it can run, since the last decision.
    from: Option<u64>,
}

impl Entry {
    /// Begins the period that `now` is in, if it has not begun.
    fn renew(&mut self, now: u64) {
        if let Some((budget, period)) = self.share.budget
            && now >= self.renewal
        {
            let periods = (now - self.renewal) / period + 1;
            self.renewal += periods * period;
            self.left = budget;
        }
    }
}

/// The vCPUs of a core.
pub struct Scheduler {
    entries: Vec<Entry>,
    slice: u64,
    turns: u64,
}

impl Scheduler {
    /// A scheduler for vCPUs with these shares, whose periods begin at `now`. A slice has `slice`
    /// ticks, at least one.
    pub fn new(shares: impl IntoIterator<Item = Share>, slice: u64, now: u64) -> Self {
        let entry = |share: Share| {
            let (budget, period) = share.budget.unwrap_or((u64::MAX, 0));
            Entry {
                share,
                left: budget,
                renewal: now.saturating_add(period),
                turn: None,
                slice: 0,
                from: None,
            }
        };
        Scheduler {
            entries: shares.into_iter().map(entry).collect(),
            slice: slice.max(1),
            turns: 0,
        }
    }

    /// A vCPU has run for this many ticks.
    pub fn charge(&mut self, index: usize, ticks: u64) {
        let Some(entry) = self.entries.get_mut(index) else {
            return;
        };
        if entry.share.budget.is_some() {
            entry.left = entry.left.saturating_sub(ticks);
        }
        entry.slice = entry.slice.saturating_sub(ticks);
        if entry.slice == 0 {
            entry.turn = None;
        }
    }

    /// Decides who runs from `now` on. `demand` tells what the vCPU with an index wants.
    pub fn decide(&mut self, now: u64, mut demand: impl FnMut(usize) -> Demand) -> Decision {
        let mut best: Option<usize> = None;
        let mut rivals = false;
        for n in 0..self.entries.len() {
            let wanted = demand(n);
            let entry = &mut self.entries[n];
            entry.renew(now);
            entry.from = match wanted {
                Demand::Nothing => None,
                Demand::Now => Some(now),
                Demand::At(time) => Some(time),
            };
            if entry.left == 0 {
                entry.from = entry.from.map(|from| from.max(entry.renewal));
            }
            if entry.from.is_none_or(|from| from > now) {
                entry.turn = None;
                continue;
            }
            if entry.turn.is_none() {
                entry.turn = Some(self.turns);
                entry.slice = self.slice;
                self.turns += 1;
            }
            let (priority, turn) = (entry.share.priority, entry.turn);
            match best.map(|best| &self.entries[best]) {
                Some(held) if held.share.priority > priority => {}
                Some(held) if held.share.priority == priority => {
                    rivals = true;
                    if turn < held.turn {
                        best = Some(n);
                    }
                }
                _ => {
                    rivals = false;
                    best = Some(n);
                }
            }
        }
        let running = best.map(|best| &self.entries[best]);
        let least = running.map_or(0, |entry| entry.share.priority);
        let mut until: Option<u64> = None;
        let mut no_later_than =
            |time: u64| until = Some(until.map_or(time, |until| until.min(time)));
        // Who will preempt this one, or share its time.
        for entry in &self.entries {
            if let Some(from) = entry.from
                && from > now
                && entry.share.priority >= least
            {
                no_later_than(from);
            }
        }
        if let Some(entry) = running {
            if rivals {
                no_later_than(now.saturating_add(entry.slice));
            }
            if entry.share.budget.is_some() {
                no_later_than(now.saturating_add(entry.left));
            }
        }
        Decision { run: best, until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Demand::{At, Nothing, Now};
    use alloc::vec;

    fn share(priority: u8, budget: Option<(u64, u64)>) -> Share {
        Share { priority, budget }
    }

    /// Runs the decisions from 0 to `end`, and returns who ran and until when.
    fn run(
        scheduler: &mut Scheduler,
        end: u64,
        demand: impl Fn(usize, u64) -> Demand,
    ) -> Vec<(Option<usize>, u64)> {
        let (mut now, mut runs) = (0, Vec::new());
        while now < end {
            let decision = scheduler.decide(now, |n| demand(n, now));
            let until = decision.until.unwrap_or(end).min(end);
            assert!(until > now, "{decision:?} at {now}");
            if let Some(n) = decision.run {
                scheduler.charge(n, until - now);
            }
            now = until;
            runs.push((decision.run, now));
        }
        runs
    }

    #[test]
    fn equals_take_turns() {
        let shares = vec![share(5, None); 3];
        let mut scheduler = Scheduler::new(shares, 10, 0);
        let runs = run(&mut scheduler, 35, |n, now| {
            if n == 2 && now < 10 { Nothing } else { Now }
        });
        let expected = [(Some(0), 10), (Some(1), 20), (Some(0), 30), (Some(2), 35)];
        // Who comes later has its turn behind those who wait.
        assert_eq!(runs, expected);
    }

    #[test]
    fn the_one_that_is_alone_is_not_interrupted() {
        let mut scheduler = Scheduler::new([share(5, None), share(4, None)], 10, 0);
        let decision = scheduler.decide(0, |_| Now);
        assert_eq!((decision.run, decision.until), (Some(0), None));
        scheduler.charge(0, 1000);
        let decision = scheduler.decide(1000, |n| if n == 0 { Nothing } else { Now });
        assert_eq!((decision.run, decision.until), (Some(1), None));
    }

    #[test]
    fn a_timer_of_a_higher_priority_ends_a_run_and_of_a_lower_one_does_not() {
        let mut scheduler = Scheduler::new([share(5, None), share(6, None), share(4, None)], 10, 0);
        let decision = scheduler.decide(0, |n| [Now, At(70), At(50)][n]);
        assert_eq!((decision.run, decision.until), (Some(0), Some(70)));
        let decision = scheduler.decide(70, |n| [Now, At(70), At(50)][n]);
        assert_eq!((decision.run, decision.until), (Some(1), None));
        // Nobody runs: the first timer of all.
        let decision = scheduler.decide(0, |n| [Nothing, At(70), At(50)][n]);
        assert_eq!((decision.run, decision.until), (None, Some(50)));
    }

    #[test]
    fn a_budget_is_what_one_gets_of_each_period() {
        let shares = [share(9, Some((2, 10))), share(5, None)];
        let mut scheduler = Scheduler::new(shares, 100, 0);
        let runs = run(&mut scheduler, 24, |_, _| Now);
        let expected = [
            (Some(0), 2),
            (Some(1), 10),
            (Some(0), 12),
            (Some(1), 20),
            (Some(0), 22),
            (Some(1), 24),
        ];
        assert_eq!(runs, expected);
    }

    #[test]
    fn a_budget_is_not_saved_up() {
        let mut scheduler = Scheduler::new([share(9, Some((2, 10)))], 100, 0);
        assert_eq!(scheduler.decide(35, |_| Now).until, Some(37));
        scheduler.charge(0, 2);
        let decision = scheduler.decide(37, |_| Now);
        assert_eq!((decision.run, decision.until), (None, Some(40)));
        // A timer within the exhausted period waits for the next.
        let decision = scheduler.decide(38, |_| At(39));
        assert_eq!((decision.run, decision.until), (None, Some(40)));
        let decision = scheduler.decide(40, |_| At(39));
        assert_eq!((decision.run, decision.until), (Some(0), Some(42)));
    }

    #[test]
    fn a_slice_is_used_up_over_several_runs() {
        let mut scheduler = Scheduler::new([share(5, None), share(5, None)], 10, 0);
        assert_eq!(scheduler.decide(0, |_| Now).until, Some(10));
        // Interrupted, and back.
        scheduler.charge(0, 6);
        let decision = scheduler.decide(6, |_| Now);
        assert_eq!((decision.run, decision.until), (Some(0), Some(10)));
        scheduler.charge(0, 5);
        assert_eq!(scheduler.decide(11, |_| Now).run, Some(1));
    }
}
