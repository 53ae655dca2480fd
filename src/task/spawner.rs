//! [`LocalSpawner`]: spawns tasks through the `LocalSpawn` trait of the `futures` crates.

use crate::context;
use crate::event_loop::EventLoop;
use crate::executor::SpawnInfo;
use crate::executor::task::Stage;
use futures_task::{LocalFutureObj, LocalSpawn, SpawnError};
use std::fmt;
use std::panic::Location;
use std::rc::{Rc, Weak};

/// A spawner for code that is generic over
/// [`futures_task::LocalSpawn`](https://docs.rs/futures-task/0.3/futures_task/trait.LocalSpawn.html).
///
/// The futures need not be `Send`. Code that is not generic should use [`spawn`](crate::spawn).
///
/// # Examples
///
/// ```
/// use futures_channel::oneshot;
/// use futures_task::LocalSpawn;
/// use glassfrog::task::LocalSpawner;
///
/// /// Works with any runtime.
/// fn compute(spawner: &impl LocalSpawn) -> oneshot::Receiver<u32> {
///     let (sender, receiver) = oneshot::channel();
///     let task = Box::pin(async move {
///         sender.send(9).ok();
///     });
///     spawner.spawn_local_obj(task.into()).expect("the runtime has ended");
///     receiver
/// }
///
/// glassfrog::block_on(async {
///     let output = compute(&LocalSpawner::current());
///     assert_eq!(output.await, Ok(9));
/// });
/// ```
#[derive(Clone)]
pub struct LocalSpawner {
    /// The runtime. Weak, because its own tasks may hold spawners.
    core: Weak<EventLoop>,
}

impl LocalSpawner {
    /// Returns the spawner of the runtime of this thread.
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_task::LocalSpawn;
    /// use glassfrog::task::LocalSpawner;
    ///
    /// let spawner = glassfrog::block_on(async { LocalSpawner::current() });
    /// // The runtime has ended.
    /// assert!(spawner.status_local().is_err());
    /// ```
    #[track_caller]
    pub fn current() -> LocalSpawner {
        LocalSpawner {
            core: Rc::downgrade(&context::current()),
        }
    }
}

impl LocalSpawn for LocalSpawner {
    #[track_caller]
    fn spawn_local_obj(&self, future: LocalFutureObj<'static, ()>) -> Result<(), SpawnError> {
        let core = self.core.upgrade().ok_or_else(SpawnError::shutdown)?;
        let info = SpawnInfo {
            id: core.shared.new_id(),
            name: None,
            location: Location::caller(),
        };
        let (key, refused) = core.executor.spawn(Stage::boxed(future), info);
        if refused.is_some() {
            return Err(SpawnError::shutdown());
        }
        core.executor.detach(key);
        Ok(())
    }

    fn status_local(&self) -> Result<(), SpawnError> {
        match self.core.upgrade() {
            Some(core) if !core.shared.inbox.is_closed() => Ok(()),
            _ => Err(SpawnError::shutdown()),
        }
    }
}

impl fmt::Debug for LocalSpawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSpawner")
            .field("ended", &self.status_local().is_err())
            .finish()
    }
}
