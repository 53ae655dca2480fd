//! The ways into a runtime: [`block_on`], [`Runtime`] and its [`Builder`].

use crate::context;
use crate::handle::Handle;
use crate::runtime::Core;
use std::fmt;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

/// Runs a future to its end on a runtime of its own, and returns its output.
///
/// Tasks that were [`spawn`](crate::spawn)ed and still run when the future ends are cancelled:
/// they are dropped before this returns. To keep them asleep instead and go on later, use a
/// [`Runtime`].
///
/// # Panics
///
/// If this thread is inside a runtime already, if the operating system has no descriptors left for
/// a new one (with [`Runtime::new`] that is an error), and with the panic of the future.
///
/// # Examples
///
/// ```
/// let sum = glassfrog::block_on(async { 1 + 2 });
/// assert_eq!(sum, 3);
/// ```
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    match Runtime::new() {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => panic!("cannot make a runtime: {error}"),
    }
}

/// A runtime: a thread's loop with its tasks, sockets and timers.
///
/// It lives on the thread that made it and works only while [`block_on`](Runtime::block_on) runs;
/// between the calls its tasks sleep. Dropping it cancels them: their futures are dropped, and what
/// survives it (sockets, handles, sleeps) answers that the runtime has ended.
///
/// # Examples
///
/// ```
/// let runtime = glassfrog::Runtime::new()?;
/// let task = runtime.block_on(async { glassfrog::spawn(async { "done" }) });
/// assert_eq!(runtime.block_on(task).unwrap(), "done");
/// # std::io::Result::Ok(())
/// ```
///
/// A runtime is not `Send`. To have one at work in the background, give it a thread, and a future
/// that ends when it is to stop:
///
/// ```
/// use futures::channel::oneshot;
/// use glassfrog::{Handle, Runtime};
/// use std::sync::mpsc;
/// use std::thread;
///
/// let (send_handle, handle) = mpsc::channel();
/// let (stop, stopped) = oneshot::channel::<()>();
/// let background = thread::spawn(move || {
///     let runtime = Runtime::new()?;
///     send_handle.send(runtime.handle()).ok();
///     // Ends when `stop` is used or dropped; what still runs then is cancelled.
///     runtime.block_on(stopped).ok();
///     std::io::Result::Ok(())
/// });
///
/// let handle: Handle = handle.recv().unwrap();
/// let task = handle.spawn(async { 6 * 7 });
/// // Here, under any executor.
/// # let task = async { task.await };
/// assert_eq!(glassfrog::block_on(task).unwrap(), 42);
///
/// drop(stop);
/// background.join().unwrap()?;
/// # std::io::Result::Ok(())
/// ```
pub struct Runtime {
    /// Everything; shared with the thread's context while the loop runs.
    core: Rc<Core>,
}

impl Runtime {
    /// Makes a runtime with the settings of [`Builder::new`].
    ///
    /// # Errors
    ///
    /// If the operating system has no descriptors or memory left for the event queue.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::new()?;
    /// assert_eq!(runtime.block_on(async { 7 }), 7);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new() -> io::Result<Runtime> {
        Runtime::builder().build()
    }

    /// Begins to make a runtime with settings of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::builder().build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Runs a future to its end, and the runtime's tasks meanwhile.
    ///
    /// The future need be neither `Send` nor `'static`. It takes its turns in the same run queue
    /// as the tasks. Tasks that still run when it ends sleep until the next call.
    ///
    /// # Panics
    ///
    /// If this thread is inside a runtime already, and with the panic of the future; the runtime
    /// can be used again after that.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::new()?;
    /// let text = String::from("borrowed");
    /// let length = runtime.block_on(async { text.len() });
    /// assert_eq!(length, 8);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let _context = context::enter_to_run(&self.core);
        // After the context, so that it is dropped inside it.
        let root = pin!(future);
        self.core.run(root)
    }

    /// A handle that spawns onto this runtime from any thread.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::new()?;
    /// let handle = runtime.handle();
    /// let thread = std::thread::spawn(move || handle.spawn(async { 1 + 1 }));
    /// let task = thread.join().unwrap();
    /// assert_eq!(runtime.block_on(task).unwrap(), 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.core.shared))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _context = context::enter(&self.core);
        self.core.shut_down();
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

/// The settings of a runtime that is to be made.
///
/// # Examples
///
/// ```
/// let runtime = glassfrog::Builder::new().build()?;
/// assert_eq!(runtime.block_on(async { "built" }), "built");
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    /// Keeps the type open for settings.
    _settings: (),
}

impl Builder {
    /// The default settings.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Builder::new().build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Makes the runtime.
    ///
    /// # Errors
    ///
    /// If the operating system has no descriptors or memory left for the event queue. On Linux a
    /// runtime takes three descriptors.
    ///
    /// # Examples
    ///
    /// ```
    /// let runtime = glassfrog::Runtime::builder().build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn build(self) -> io::Result<Runtime> {
        Ok(Runtime {
            core: Rc::new(Core::new()?),
        })
    }
}
