//! [`Node`]: a cancellation token and its place in the tree of tokens, which `tests/loom` checks.
//!
//! A child owns its parent, and a parent has weak references to its children. So the path from a token to the root
//! exists as long as the token, and a token that is dropped leaves nothing behind. A cancellation goes from a token to
//! its descendants, and reaches each of them once:
//!
//! ```text
//!    cancel                    child
//!    set the flag              (under the lock of the parent)
//!    take the children         the flag is not set: join them
//!    (under the lock)          the flag is set: begin as cancelled
//! ```
//!
//! A cancellation first sets all flags of its subtree, and then wakes the waiters. So a task that is woken sees all
//! tokens below cancelled, and a waker that panics keeps no token from being cancelled. A second cancellation on another
//! thread may return while the first one is still on its way down.

use crate::foreign::log_panics;
use crate::primitives::{AtomicBool, Event, EventListener, Mutex, Ordering, lock};
use std::collections::BTreeMap;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

/// A token in the tree. `A` is the owner's description of it.
#[derive(Debug)]
pub(crate) struct Node<A> {
    /// The owner's description.
    pub(crate) about: A,
    /// Whether the token is cancelled.
    is_cancelled: AtomicBool,
    /// Wakes the tasks that wait for the token.
    cancelled: Event,
    /// The children of this token.
    children: Mutex<Children<A>>,
    /// The parent of this token, and the key of this token there.
    parent: Option<(Arc<Node<A>>, u64)>,
}

/// The children of a token.
#[derive(Debug)]
struct Children<A> {
    /// The tokens, by their keys.
    nodes: BTreeMap<u64, Weak<Node<A>>>,
    /// The key of the newest one.
    last: u64,
}

impl<A> Children<A> {
    /// No tokens.
    fn none() -> Children<A> {
        Children {
            nodes: BTreeMap::new(),
            last: 0,
        }
    }
}

impl<A> Node<A> {
    /// Creates a token without a parent.
    pub(crate) fn root(about: A) -> Arc<Node<A>> {
        Arc::new(Node::new(about, None, false))
    }

    /// Creates a token.
    fn new(about: A, parent: Option<(Arc<Node<A>>, u64)>, is_cancelled: bool) -> Node<A> {
        Node {
            about,
            is_cancelled: AtomicBool::new(is_cancelled),
            cancelled: Event::new(),
            children: Mutex::new(Children::none()),
            parent,
        }
    }

    /// Creates a child of this token.
    pub(crate) fn child(self: &Arc<Self>, about: A) -> Arc<Node<A>> {
        let mut children = lock(&self.children);
        if self.is_cancelled() {
            drop(children);
            return Arc::new(Node::new(about, None, true));
        }
        children.last += 1;
        let key = children.last;
        let parent = Some((Arc::clone(self), key));
        let child = Arc::new(Node::new(about, parent, false));
        children.nodes.insert(key, Arc::downgrade(&child));
        child
    }

    /// Returns whether the token is cancelled.
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        // Acquire: a thread that sees the flag sees what happened before the cancellation.
        self.is_cancelled.load(Ordering::Acquire)
    }

    /// Cancels this token and its descendants. Returns false if it was already cancelled.
    pub(crate) fn cancel(self: &Arc<Self>) -> bool {
        if !self.set() {
            return false;
        }
        // A loop instead of a recursion, because the tree may be deep.
        let mut cancelled = self.take_children();
        let mut next = 0;
        while let Some(node) = cancelled.get(next) {
            match node.set() {
                true => {
                    let children = node.take_children();
                    cancelled.extend(children);
                    next += 1;
                }
                // Another thread cancels it and those below it.
                false => drop(cancelled.swap_remove(next)),
            }
        }
        self.notify();
        cancelled.iter().for_each(|node| node.notify());
        true
    }

    /// Sets the flag of this token. Returns false if it was set before.
    fn set(&self) -> bool {
        // Release: see `is_cancelled`. Acquire: what a former cancellation has done comes before this returns.
        !self.is_cancelled.swap(true, Ordering::AcqRel)
    }

    /// Wakes the waiters for this token.
    fn notify(&self) {
        let mut is_done = false;
        while !is_done {
            // A waker that panics ends `notify`, which has passed its listener then. So this goes on with the next one.
            log_panics("a waker", || {
                self.cancelled.notify(usize::MAX);
                is_done = true;
            });
        }
    }

    /// Takes the children of this token, which is cancelled and gets no more of them.
    fn take_children(&self) -> Vec<Arc<Node<A>>> {
        let children = mem::replace(&mut *lock(&self.children), Children::none());
        children.nodes.values().filter_map(Weak::upgrade).collect()
    }

    /// Waits for the cancellation. `listener` is `None` at first.
    pub(crate) fn poll_cancelled(
        &self,
        listener: &mut Option<EventListener>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            if self.is_cancelled() {
                *listener = None;
                return Poll::Ready(());
            }
            match listener {
                // Checks the flag again, because it may have been set before the listener was created.
                None => *listener = Some(self.cancelled.listen()),
                Some(waiting) => {
                    if Pin::new(waiting).poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    *listener = None;
                }
            }
        }
    }
}

impl<A> Drop for Node<A> {
    fn drop(&mut self) {
        // A loop instead of a recursion, because a chain of tokens may be long. It drops each ancestor that nothing
        // else owns.
        let mut parent = self.parent.take();
        while let Some((node, key)) = parent {
            lock(&node.children).nodes.remove(&key);
            parent = Arc::into_inner(node).and_then(|mut node| node.parent.take());
        }
    }
}
