//! A runtime inside calloop, the event loop of many Wayland programs, without a second thread.
//!
//! ```text
//! cargo run --release -p glassfrog-calloop
//! ```
//!
//! calloop waits for the descriptor of the runtime, and calls a callback when a turn is due. Each wait ends at the
//! next deadline of the runtime at the latest. `examples/foreign_loop.rs` does the same with bare `poll(2)`.

use std::error::Error;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use calloop::channel::{self, Event};
use calloop::generic::Generic;
use calloop::{EventLoop, Interest, Mode, PostAction};
use futures_channel::mpsc;
use glassfrog::Runtime;
use glassfrog::prelude::*;
use glassfrog::time::sleep;

/// The time between two keys.
const KEY: Duration = Duration::from_millis(30);

/// The time between two ticks.
const TICK: Duration = Duration::from_millis(50);

/// The number of ticks.
const TICKS: u32 = 4;

/// The state that calloop passes to its callbacks.
struct State {
    /// Sends keys to the task that collects them; `None` at the end of the keys.
    to_typist: Option<mpsc::UnboundedSender<char>>,
    /// How many times the descriptor of the runtime was readable.
    turns: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Rc::new(Runtime::new()?);
    let mut event_loop = EventLoop::<State>::try_new()?;
    let handle = event_loop.handle();

    // The descriptor of the runtime stays readable while more is ready, so one turn per callback is enough.
    let source = Generic::new(Rc::clone(&runtime), Interest::READ, Mode::Level);
    handle.insert_source(source, |_, runtime, state| {
        state.turns += 1;
        runtime.turn(Some(Duration::ZERO))?;
        Ok(PostAction::Continue)
    })?;

    // The events of the loop itself: another thread presses keys.
    let (press, pressed) = channel::channel();
    handle.insert_source(pressed, |event, _, state| match event {
        Event::Msg(key) => {
            if let Some(to_typist) = &state.to_typist {
                // Wakes the typist, which makes the descriptor readable.
                to_typist.unbounded_send(key).ok();
            }
        }
        Event::Closed => state.to_typist = None,
    })?;
    thread::spawn(move || {
        for key in "glassfrog".chars() {
            // The typist takes this long for a key.
            thread::sleep(KEY);
            press.send(key).ok();
        }
    });

    let (to_typist, typed) = mpsc::unbounded();
    let guard = runtime.enter();
    let typist = glassfrog::spawn(typed.collect::<String>());
    let ticker = glassfrog::spawn(async {
        for _ in 0..TICKS {
            sleep(TICK).await;
        }
    });
    drop(guard);

    let mut state = State {
        to_typist: Some(to_typist),
        turns: 0,
    };
    let (mut waits, mut deadlines) = (0, 0);
    while !(typist.is_finished() && ticker.is_finished()) {
        let next = runtime.next_deadline();
        let timeout = next.map(|next| next.saturating_duration_since(Instant::now()));
        event_loop.dispatch(timeout, &mut state)?;
        waits += 1;
        if next.is_some_and(|next| next <= Instant::now()) {
            deadlines += 1;
            runtime.turn(Some(Duration::ZERO))?;
        }
    }

    let typed = runtime.block_on(typist)?;
    println!("typed {typed:?}, ticked {TICKS} times");
    println!(
        "{waits} waits, {} turns for the descriptor, {deadlines} for deadlines",
        state.turns
    );
    assert_eq!(typed, "glassfrog");
    // The loop sleeps while nothing happens. The nine keys and their end cost at most two waits each, and a distant
    // deadline takes a few waits.
    assert!(waits <= 2 * 10 + 10 * TICKS + 5, "{waits}");
    Ok(())
}
