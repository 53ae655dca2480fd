//! The room of a chat: who is here, and who is to hear what. It never waits.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;

use futures_channel::{mpsc, oneshot};

/// How many lines wait for a member at most. It must hold what can be said before the member's task
/// has its turn: that is at most one poll of each other task ("Fairness" in `glassfrog::task`), and
/// in one poll a client causes three lines at most: it comes, says something or leaves, and somebody
/// is removed.
const QUEUE: usize = 4 * crate::MAX_CLIENTS;

/// How long a name may be.
const MAX_NAME: usize = 20;

/// Who is here.
#[derive(Default)]
pub(crate) struct Room {
    /// The members by their numbers. Names come again: the member that is removed may still be on
    /// its way out when another takes its name.
    members: BTreeMap<u64, Entry>,
    /// The number of the next member.
    next_id: u64,
}

/// A member, as the room knows it.
struct Entry {
    /// What the others call it.
    name: String,
    /// What it is to hear.
    lines: mpsc::Sender<Rc<str>>,
    /// Sends nothing: it is its drop that tells the member of its removal.
    _removal: oneshot::Sender<Infallible>,
}

/// A member, as its own task knows it. When it is dropped, the member leaves.
pub(crate) struct Member {
    /// Where it is a member.
    room: Rc<RefCell<Room>>,
    /// Its number.
    pub(crate) id: u64,
    /// What it is to hear.
    pub(crate) lines: mpsc::Receiver<Rc<str>>,
    /// Is ready when the room has removed it.
    pub(crate) removal: oneshot::Receiver<Infallible>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.room.borrow_mut().leave(self.id);
    }
}

impl Room {
    /// Takes a member, or says why not.
    pub(crate) fn join(room: &Rc<RefCell<Room>>, name: &str) -> Result<Member, String> {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_fine) {
            return Err(format!("* up to {MAX_NAME} letters, digits and dashes\n"));
        }
        let mut this = room.borrow_mut();
        let mut names = this.members.values().map(|member| &member.name);
        if names.any(|other| other.eq_ignore_ascii_case(name)) {
            return Err(format!("* there is a {name} here\n"));
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
        this.tell(None, format!("* {name} has come, here are now {count}\n"));
        Ok(Member {
            room: Rc::clone(room),
            id,
            lines,
            removal,
        })
    }

    /// Has a member say something to the others.
    pub(crate) fn say(&mut self, id: u64, text: &str) {
        // An empty line says nothing, and who has been removed has nothing to say.
        if let Some(member) = self.members.get(&id)
            && !text.is_empty()
        {
            let line = format!("{}: {text}\n", member.name);
            self.tell(Some(id), line);
        }
    }

    /// Takes a member out, unless that has been done.
    fn leave(&mut self, id: u64) {
        if let Some(member) = self.members.remove(&id) {
            self.tell(None, format!("* {} has left\n", member.name));
        }
    }

    /// Puts a line into all queues but one, and removes the members whose queues are full.
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
            self.tell(
                None,
                format!("* {name} does not keep up, and was removed\n"),
            );
        }
    }
}
