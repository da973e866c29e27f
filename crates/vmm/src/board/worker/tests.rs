//! Jobs that wait for the test, and write to guest memory.

use super::*;
use skep_board::map;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough to see something happen that should not.
const MOMENT: Duration = Duration::from_millis(50);

/// A job: in each of its parts it tells its number, waits to be let on, and writes that to memory.
struct Job {
    number: u8,
    parts: u8,
    go: Receiver<()>,
}

struct Tester {
    began: Sender<u8>,
    ended: Sender<u8>,
}

impl Server for Tester {
    type Job = Job;

    fn step(&mut self, job: &mut Job, memory: &dyn GuestMemory) -> Result<Progress, QueueError> {
        self.began.send(job.number).unwrap();
        job.go.recv_timeout(PATIENCE).unwrap();
        memory.write(map::RAM_BASE + u64::from(job.number), &[job.parts])?;
        job.parts -= 1;
        Ok(match job.parts {
            0 => Progress::Done,
            _ => Progress::More,
        })
    }

    fn finish(&mut self, job: Job, result: Result<(), QueueError>) {
        assert_eq!(result, Ok(()));
        self.ended.send(job.number).unwrap();
    }
}

struct Test {
    workers: Workers<Tester>,
    ram: Arc<GuestRam>,
    standstill: Arc<Standstill>,
    began: Receiver<u8>,
    ended: Receiver<u8>,
}

impl Test {
    fn new(threads: usize) -> Self {
        let (began, ended) = (channel(), channel());
        let ram = GuestRam::new(1 << 20, Vec::new()).unwrap();
        let standstill = Arc::<Standstill>::default();
        let make = Mutex::new((began.0, ended.0));
        let workers = Workers::new(
            "test".into(),
            threads,
            2,
            ram.clone(),
            standstill.clone(),
            move || {
                let make = lock(&make);
                Tester {
                    began: make.0.clone(),
                    ended: make.1.clone(),
                }
            },
        );
        Test {
            workers,
            ram,
            standstill,
            began: began.1,
            ended: ended.1,
        }
    }

    /// Submits a job; returns what lets it on.
    fn submit(&self, queue: usize, number: u8, parts: u8) -> Sender<()> {
        let (go, wait) = channel();
        let job = Job {
            number,
            parts,
            go: wait,
        };
        assert!(self.workers.submit(queue, job).is_ok());
        go
    }

    fn began(&self) -> u8 {
        self.began.recv_timeout(PATIENCE).unwrap()
    }

    fn ended(&self) -> u8 {
        self.ended.recv_timeout(PATIENCE).unwrap()
    }

    /// What a job wrote last.
    fn written(&self, number: u8) -> u8 {
        let mut byte = [0];
        self.ram
            .read(map::RAM_BASE + u64::from(number), &mut byte)
            .unwrap();
        byte[0]
    }
}

#[test]
fn jobs_are_served_at_the_same_time_and_end_in_any_order() {
    let test = Test::new(2);
    let first = test.submit(0, 1, 1);
    let second = test.submit(0, 2, 1);
    let third = test.submit(0, 3, 1);
    let mut began = [test.began(), test.began()];
    began.sort_unstable();
    assert_eq!(began, [1, 2]);
    second.send(()).unwrap();
    assert_eq!(test.ended(), 2);
    assert_eq!((test.began(), test.written(2)), (3, 1), "the next in line");
    third.send(()).unwrap();
    assert_eq!(test.ended(), 3);
    first.send(()).unwrap();
    assert_eq!(test.ended(), 1);
}

#[test]
fn cancelled_jobs_leave_memory_alone() {
    let test = Test::new(1);
    let running = test.submit(0, 1, 2);
    let _waiting = test.submit(0, 2, 1);
    let other = test.submit(1, 3, 1);
    assert_eq!(test.began(), 1);
    test.workers.cancel(0);
    let after = test.submit(0, 4, 1);
    running.send(()).unwrap();
    // Neither its second part nor the job behind it is begun.
    assert_eq!(test.began(), 3);
    assert_eq!(test.written(1), 0, "written after the cancellation");
    other.send(()).unwrap();
    assert_eq!((test.ended(), test.written(3)), (3, 1));
    assert_eq!(test.began(), 4);
    after.send(()).unwrap();
    assert_eq!((test.ended(), test.written(4)), (4, 1));
}

#[test]
fn jobs_stop_between_parts_for_a_standstill() {
    let test = Test::new(1);
    let go = test.submit(0, 1, 2);
    assert_eq!(test.began(), 1);
    test.standstill.want(true);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| test.standstill.wait());
        std::thread::sleep(MOMENT);
        assert!(!waits.is_finished(), "a part is being done");
        go.send(()).unwrap();
        waits.join().unwrap();
    });
    assert_eq!(test.written(1), 2);
    assert!(test.began.recv_timeout(MOMENT).is_err(), "it stands still");
    test.standstill.want(false);
    assert_eq!(test.began(), 1);
    go.send(()).unwrap();
    assert_eq!((test.ended(), test.written(1)), (1, 1));
}

#[test]
fn threads_end_with_the_device() {
    let test = Test::new(2);
    // One at work, one that waits for the end of a standstill, and a job that nobody has begun.
    let go = test.submit(0, 1, 2);
    let idle = test.submit(0, 2, 2);
    test.began();
    test.began();
    test.standstill.want(true);
    idle.send(()).unwrap();
    let _never = test.submit(0, 3, 1);
    let Test { workers, ended, .. } = test;
    let pool = Arc::downgrade(&workers.pool);
    go.send(()).unwrap();
    drop(workers);
    assert!(pool.upgrade().is_none(), "a thread is left");
    assert!(ended.try_recv().is_err(), "no job was finished");
}
