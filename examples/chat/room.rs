//! The room of a chat: its members and their queues. It never waits.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;

use futures_channel::{mpsc, oneshot};

/// The capacity of a member's queue. It must hold all lines that can arrive before the task of the member
/// is polled: at most one poll of each other task ("Fairness" in `glassfrog::task`), and at most three
/// lines per poll: a client joins, says something or leaves, and a member is removed.
const QUEUE: usize = 4 * crate::MAX_CLIENTS;

/// The longest name.
const MAX_NAME: usize = 20;

/// A room.
#[derive(Default)]
pub(crate) struct Room {
    /// The members by their ids. Names do not identify them: a removed member may still be leaving when
    /// another takes its name.
    members: BTreeMap<u64, Entry>,
    /// The id of the next member.
    next_id: u64,
}

/// A member, as the room sees it.
struct Entry {
    /// The name of the member.
    name: String,
    /// The sender of the member's queue.
    lines: mpsc::Sender<Rc<str>>,
    /// A sender that sends nothing. Its drop notifies the member of the removal.
    _removal: oneshot::Sender<Infallible>,
}

/// A member, as its own task sees it. Dropping it makes the member leave.
pub(crate) struct Member {
    /// The room of the member.
    room: Rc<RefCell<Room>>,
    /// The id of the member.
    pub(crate) id: u64,
    /// The receiver of the member's queue.
    pub(crate) lines: mpsc::Receiver<Rc<str>>,
    /// Resolves when the room has removed the member.
    pub(crate) removal: oneshot::Receiver<Infallible>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.room.borrow_mut().leave(self.id);
    }
}

impl Room {
    /// Admits a member, or returns the reason for a refusal.
    pub(crate) fn join(room: &Rc<RefCell<Room>>, name: &str) -> Result<Member, String> {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_fine) {
            return Err(format!(
                "* a name has up to {MAX_NAME} letters, digits and dashes\n"
            ));
        }
        let mut this = room.borrow_mut();
        let mut names = this.members.values().map(|member| &member.name);
        if names.any(|other| other.eq_ignore_ascii_case(name)) {
            return Err(format!("* the name {name} is taken\n"));
        }
        let id = this.next_id;
        this.next_id += 1;
        let (sender, lines) = mpsc::channel(QUEUE);
        let (_removal, removal) = oneshot::channel();
        let entry = Entry {
            name: name.to_string(),
            lines: sender,
            _removal,
        };
        this.members.insert(id, entry);
        let count = this.members.len();
        this.tell(None, format!("* {name} has joined; {count} are here\n"));
        Ok(Member {
            room: Rc::clone(room),
            id,
            lines,
            removal,
        })
    }

    /// Sends a line from a member to the others.
    pub(crate) fn say(&mut self, id: u64, text: &str) {
        // Ignore an empty line, and a line from a member that has been removed.
        if let Some(member) = self.members.get(&id)
            && !text.is_empty()
        {
            let line = format!("{}: {text}\n", member.name);
            self.tell(Some(id), line);
        }
    }

    /// Removes a member, unless the room has removed it already.
    fn leave(&mut self, id: u64) {
        if let Some(member) = self.members.remove(&id) {
            self.tell(None, format!("* {} has left\n", member.name));
        }
    }

    /// Puts a line into all queues except one, and removes the members whose queues are full.
    fn tell(&mut self, except: Option<u64>, line: String) {
        let line: Rc<str> = line.into();
        let mut removed = Vec::new();
        self.members.retain(|id, member| {
            let keeps_up = Some(*id) == except || member.lines.try_send(Rc::clone(&line)).is_ok();
            if !keeps_up {
                removed.push(member.name.clone());
            }
            keeps_up
        });
        for name in removed {
            self.tell(None, format!("* {name} was removed for being too slow\n"));
        }
    }
}
