//! Prints a dump of tasks that are stuck, each in a different way.
//!
//! ```text
//! cargo run --release --example dump
//! GLASSFROG_TRACE_WAITS=1 cargo run --example dump
//! ```
//!
//! The second command also prints below each wait where in the program the task waits. The build has debug
//! information, which that needs.
//!
//! Another thread takes the dump, as a signal handler or an administration page would. Inside the runtime,
//! use `task::dump()`. `{dump:#}` would list every task.

use std::io;
use std::net;
use std::time::Duration;

use futures_channel::oneshot;
use glassfrog::Handle;
use glassfrog::net::{TcpListener, TcpStream};
use glassfrog::task::{Builder, scope, spawn_blocking};
use glassfrog::time::sleep;

fn main() -> io::Result<()> {
    // The kernel accepts connections to this listener; the program never responds.
    let silent = net::TcpListener::bind("127.0.0.1:0")?;
    let addr = silent.local_addr()?;

    glassfrog::block_on(async {
        // 1. Waits for a response that never comes.
        let client = Builder::new().name("client").spawn(async move {
            let stream = TcpStream::connect(addr).await?;
            stream.read(&mut [0; 1]).await
        });

        // 2. Waits for the first task, through its handle.
        Builder::new().name("report").spawn(client);

        // 3. Waits for clients.
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Builder::new()
            .name("server")
            .spawn(async move { listener.accept().await });

        // 4. Waits for a blocking job, which waits for the end of this program. The last lines of the dump show it.
        let (_end, ended) = std::sync::mpsc::channel::<()>();
        Builder::new().name("job").spawn(async move {
            let indexer = Builder::new().name("indexer");
            let indexer = indexer.spawn_blocking(move || ended.recv());
            indexer.await
        });

        // 5. Waits for two sleeps at once, in the children of a scope.
        Builder::new().name("both").spawn(scope(async |s| {
            s.spawn(sleep(Duration::from_secs(3600)));
            s.spawn(sleep(Duration::from_secs(24 * 3600)));
        }));

        // 6 and 7. One task waits for a channel, and another has lost its waker.
        let (_sender, receiver) = oneshot::channel::<()>();
        Builder::new().name("channel").spawn(receiver);
        Builder::new()
            .name("lost")
            .spawn(std::future::pending::<()>());

        // 8. Twenty similar tasks share a line of the dump.
        for _ in 0..20 {
            glassfrog::spawn(async move {
                let stream = TcpStream::connect(addr).await?;
                stream.read(&mut [0; 1]).await
            });
        }

        // Give all tasks time to get stuck.
        sleep(Duration::from_millis(300)).await;
        let handle = Handle::current();
        let dump = spawn_blocking(move || handle.dump()).await?;
        print!("{dump}");
        Ok(())
    })
}
