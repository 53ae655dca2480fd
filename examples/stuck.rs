//! Prints a dump of tasks that wait for locks, permits and channels, and says who holds them.
//!
//! ```text
//! cargo run --example stuck
//! ```
//!
//! Each of these programs is a classic: in other runtimes, the task that waits is easy to find, and the task that it
//! waits for is not. `examples/dump.rs` shows sockets, timers, joins and jobs.

use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use glassfrog::sync::{self, Mutex, Notify, Semaphore, mpsc};
use glassfrog::task::{self, Builder, yield_now};
use glassfrog::time::{sleep, timeout};

fn main() {
    glassfrog::block_on(async {
        let spawn = |name: &'static str| Builder::new().name(name);

        // 1. The auditor holds a lock while it sleeps, so the teller waits.
        let accounts = Rc::new(Mutex::named("accounts", 100));
        let theirs = Rc::clone(&accounts);
        spawn("auditor").spawn(async move {
            let _accounts = theirs.lock().await;
            sleep(Duration::from_secs(3600)).await;
        });
        spawn("teller").spawn(async move { *accounts.lock().await += 1 });

        // 2. Three queries that never end have taken all permits of a pool.
        let pool = Rc::new(Semaphore::named("pool", 3));
        for _ in 0..3 {
            let pool = Rc::clone(&pool);
            spawn("query").spawn(async move {
                let _permit = pool.acquire().await;
                pending::<()>().await;
            });
        }
        spawn("request").spawn(async move { drop(pool.acquire().await) });

        // 3. A circle: the producer waits for room in a channel, and its consumer waits for a lock of the producer.
        let state = Rc::new(Mutex::named("state", 0));
        let theirs = Rc::clone(&state);
        let (sender, mut receiver) = mpsc::channel_named("jobs", 1);
        spawn("producer").spawn(async move {
            let _state = state.lock().await;
            while sender.send(()).await.is_ok() {}
        });
        spawn("consumer").spawn(async move {
            while receiver.recv().await.is_some() {
                *theirs.lock().await += 1;
            }
        });

        // 4. "Futurelock": the first future of the server is next for the lock, but after its timeout the server polls
        //    only the second one.
        let (cache, release) = (Rc::new(Mutex::named("cache", 0)), Rc::new(Notify::new()));
        let (theirs, released) = (Rc::clone(&cache), Rc::clone(&release));
        spawn("refresh").spawn(async move {
            let _cache = theirs.lock().await;
            released.notified().await;
        });
        spawn("server").spawn(async move {
            yield_now().await;
            let mut first = pin!(cache.lock());
            let patience = Duration::from_millis(10);
            if timeout(patience, first.as_mut()).await.is_err() {
                *cache.lock().await += 1;
            }
        });

        // 5. A channel stays open, because `main` keeps the sender that it has cloned for others.
        let (sender, mut receiver) = mpsc::channel_named::<u32>("results", 8);
        drop(sender.clone());
        spawn("collector").spawn(async move { while receiver.recv().await.is_some() {} });

        // Give all tasks time to get stuck.
        sleep(Duration::from_millis(100)).await;
        release.notify_one();
        sleep(Duration::from_millis(100)).await;

        let dump = task::dump();
        print!("{dump}");
        println!("\nTasks that wait for one another:");
        for circle in dump.circles() {
            println!("{circle}");
        }
        println!("\nHeld at the moment:\n{}", sync::held());
        drop(sender);
    });
}
