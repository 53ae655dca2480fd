//! [`held`]: the locks and permits that are held at the moment, for the whole process.

use super::seen::{HOLDABLE, Holdable, Holding, Taken};
use crate::clock::Stamp;
use crate::context;
use crate::dump::Time;
use crate::event_loop::others;
use crate::executor::primitive::{Lines, View};
use crate::primitives::lock;
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Returns the locks and permits of this process that are held at the moment, whether tasks wait for them or not.
///
/// A dump shows the holder of a lock only if a task waits for the lock. This function also shows a lock that a task
/// holds across a long wait while no other task waits for it. It works on any thread, inside and outside a runtime, and
/// never waits. Other threads take and release locks meanwhile, so the result is not a snapshot: it shows each lock at
/// a slightly different moment.
///
/// The result names a task of the runtime on this thread as a [dump](crate::task::dump) does. It names a task of
/// another runtime by the number of its [`Id`](crate::task::Id) and by its runtime, because only the thread of a
/// runtime knows the names of its tasks.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::{self, Mutex};
///
/// let accounts = Mutex::named("accounts", 100);
/// let guard = accounts.try_lock().unwrap();
///
/// let held = sync::held();
/// let lock = held.iter().find(|thing| thing.name() == Some("accounts")).unwrap();
/// assert_eq!((lock.kind(), lock.holders().len()), ("lock", 1));
/// // lock "accounts" (made at src/main.rs:4), taken by thread "main" at src/main.rs:5
/// println!("{lock}");
/// # drop(guard);
/// ```
pub fn held() -> Held {
    let listed: Vec<Weak<dyn Holdable>> = lock(&HOLDABLE).values().cloned().collect();
    let event_loop = context::running();
    let snapshots = event_loop.as_ref().map(|this| this.executor.snapshot());
    let snapshots = snapshots.unwrap_or_default();
    // No runtime has the number 0.
    let runtime = event_loop.map_or(0, |this| this.shared.number);
    let tasks = snapshots.iter().map(|task| (task.id.low(), task));
    let view = View {
        runtime,
        now: others::describe(runtime).map_or(Stamp::default(), |(_, now)| now),
        waiting: None,
        tasks: tasks.collect(),
        waits: Lines::default(),
        other: others::describe,
        other_task: others::name_of,
    };
    let things = listed
        .iter()
        .filter_map(Weak::upgrade)
        .map(|primitive: Arc<dyn Holdable>| primitive.holding())
        .filter(|holding| !holding.known.is_empty() || holding.others > 0)
        .map(|holding| HeldThing::new(holding, &view));
    Held {
        things: things.collect(),
    }
}

/// The locks and permits that were held at one moment, returned by [`held`].
///
/// The [`Display`](fmt::Display) implementation prints a line for each of them.
///
/// # Examples
///
/// See [`held`].
#[derive(Clone, Debug)]
pub struct Held {
    /// The primitives that were held, in the order of their first use.
    things: Vec<HeldThing>,
}

impl Held {
    /// Returns an iterator over the primitives that were held.
    ///
    /// # Examples
    ///
    /// See [`held`].
    pub fn iter(&self) -> std::slice::Iter<'_, HeldThing> {
        self.things.iter()
    }

    /// Returns whether nothing was held.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(glassfrog::sync::held().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.things.is_empty()
    }

    /// Returns the number of locks and semaphores that were held.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(glassfrog::sync::held().len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.things.len()
    }
}

impl<'a> IntoIterator for &'a Held {
    type Item = &'a HeldThing;
    type IntoIter = std::slice::Iter<'a, HeldThing>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing is held");
        }
        for (index, thing) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{thing}")?;
        }
        Ok(())
    }
}

/// A lock or a semaphore that is held, returned by [`Held::iter`].
///
/// # Examples
///
/// See [`held`].
#[derive(Clone, Debug)]
pub struct HeldThing {
    /// Its kind.
    kind: &'static str,
    /// Its name.
    name: Option<Cow<'static, str>>,
    /// Where it was made.
    made: &'static Location<'static>,
    /// Its kind, name and place.
    what: String,
    /// The verb for its holders.
    how: &'static str,
    /// The holders that have marks.
    holders: Vec<Holder>,
    /// The number of the other holders.
    others: usize,
}

impl HeldThing {
    /// Describes a primitive.
    fn new(holding: Holding, view: &View<'_>) -> HeldThing {
        let known = holding.known.iter();
        HeldThing {
            kind: holding.kind,
            what: format!("{} {}", holding.kind, holding.about),
            name: holding.about.name,
            made: holding.about.made,
            how: holding.how,
            holders: known.map(|taken| Holder::new(taken, view)).collect(),
            others: holding.others,
        }
    }

    /// Returns its kind: `"lock"`, `"rwlock"` or `"semaphore"`.
    ///
    /// # Examples
    ///
    /// See [`held`].
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Returns its name, if it was created with one.
    ///
    /// # Examples
    ///
    /// See [`held`].
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns where it was made.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::{self, Mutex};
    ///
    /// let mutex = Mutex::new(7);
    /// let guard = mutex.try_lock().unwrap();
    /// for thing in &sync::held() {
    ///     println!("{}", thing.made_at());
    /// }
    /// # drop(guard);
    /// ```
    pub fn made_at(&self) -> &'static Location<'static> {
        self.made
    }

    /// Returns its holders: the task that has locked it, or up to four readers or holders of permits.
    ///
    /// # Examples
    ///
    /// See [`held`].
    pub fn holders(&self) -> &[Holder] {
        &self.holders
    }

    /// Returns the number of its holders that [`holders`](HeldThing::holders) does not contain.
    ///
    /// # Examples
    ///
    /// ```
    /// use glassfrog::sync::{self, RwLock};
    ///
    /// let lock = RwLock::new(7);
    /// let guards = [(); 6].map(|()| lock.try_read().unwrap());
    /// for thing in &sync::held() {
    ///     assert_eq!((thing.holders().len(), thing.others()), (4, 2));
    /// }
    /// # drop(guards);
    /// ```
    pub fn others(&self) -> usize {
        self.others
    }
}

impl fmt::Display for HeldThing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} by ", self.what, self.how)?;
        for (index, holder) in self.holders.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{holder}")?;
        }
        match (self.holders.is_empty(), self.others) {
            (_, 0) => Ok(()),
            (true, others) => write!(f, "{others} others"),
            (false, others) => write!(f, " and {others} more"),
        }
    }
}

/// A task or a thread that has taken a lock or a permit, returned by [`HeldThing::holders`].
///
/// It may have moved the guard or the permit to another task since.
///
/// # Examples
///
/// ```
/// use glassfrog::sync::{self, Mutex};
///
/// glassfrog::block_on(async {
///     let mutex = Mutex::new(7);
///     let guard = mutex.lock().await;
///     let held = sync::held();
///     let holder = &held.iter().next().unwrap().holders()[0];
///     // main 0 ms ago at src/main.rs:5
///     println!("{holder}");
///     assert_eq!(holder.name(), "main");
///     assert!(holder.age().is_some() && holder.place().is_some());
///     # drop(guard);
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Holder {
    /// Its name in the text.
    name: String,
    /// The time since it took the lock or the permit.
    age: Option<Duration>,
    /// Where it took the lock or the permit.
    place: Option<&'static Location<'static>>,
}

impl Holder {
    /// Describes a holder.
    fn new(taken: &Taken, view: &View<'_>) -> Holder {
        Holder {
            name: taken.who.name(view),
            age: taken.age(view),
            place: taken.place,
        }
    }

    /// Returns the name of the task or the thread. The name of a task of another runtime contains that of the runtime.
    ///
    /// # Examples
    ///
    /// See [`Holder`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the time since it took the lock or the permit, within about 20 ms. Returns `None` for a thread, and if
    /// the runtime of the task has ended.
    ///
    /// # Examples
    ///
    /// See [`Holder`].
    pub fn age(&self) -> Option<Duration> {
        self.age
    }

    /// Returns the place where it took the lock or the permit.
    ///
    /// # Examples
    ///
    /// See [`Holder`].
    pub fn place(&self) -> Option<&'static Location<'static>> {
        self.place
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(age) = self.age {
            write!(f, " {} ago", Time(age))?;
        }
        match self.place {
            Some(place) => write!(f, " at {}:{}", place.file(), place.line()),
            None => Ok(()),
        }
    }
}
