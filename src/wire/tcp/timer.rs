//! The timer of an end: what happens when nothing happens.
//!
//! An end has at most one timer. What it means depends on the phase:
//!
//! | phase | when it runs | what it does |
//! | --- | --- | --- |
//! | `SynSent`, `SynReceived` | always | repeats the first segment or the answer, after 1, 2, 4 ... seconds |
//! | `SynSent` to an address that nobody has | always | fails, as Linux does when nobody answers on the local network |
//! | `Open` | after a loss that concerns the end | retransmits, after 200, 400, 800 ... ms, or probes a closed window |
//! | `Open`, with the own stream over and without a socket | always | removes the end after a minute (`FIN-WAIT-2`) |
//! | `TimeWait` | always | removes the end after a minute, or after a second if the peer is on the same host |
//!
//! An end at a closed window probes it only while something may be wrong: after the loss of an announcement, after a crash
//! of its peer, and after a cut or a hold of its link. Linux probes all the time. Here, a probe that is answered is the last,
//! so that a simulation in which a reader does not read comes to rest. An end without a socket probes until it gives up.

use super::end::{Owner, Phase};
use crate::slab::Key;
use crate::wire::error::Failure;
use crate::wire::packet::{Body, Packet, SegmentKind};
use crate::wire::{Event, HostId, NOBODY, State};

/// A second, in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// The first time-out of a retransmission (`TCP_RTO_MIN` of Linux), in nanoseconds. It doubles each time.
const FIRST_TIMEOUT: u64 = SECOND / 5;

/// The longest time-out of a retransmission (`TCP_RTO_MAX` of Linux), in nanoseconds.
const LONGEST_TIMEOUT: u64 = 120 * SECOND;

/// The first time-out of an opening segment (`TCP_TIMEOUT_INIT` of Linux), in nanoseconds. It doubles each time.
const OPENING_TIMEOUT: u64 = SECOND;

/// How often the answer to a first segment is repeated (`tcp_synack_retries` of Linux).
const ANSWER_RETRIES: u32 = 5;

/// How often an end without a socket retransmits (`tcp_orphan_retries` of Linux).
const ORPHAN_RETRIES: u32 = 8;

/// How often an end without a socket probes a window that stays closed, answered or not. Linux gives up when the time-out
/// has reached its maximum (`tcp_probe_timer`), after 324.6 seconds.
const ORPHAN_PROBES: u32 = 10;

/// How long an end answers late segments after both directions are over, and how long an end without a socket waits for
/// its peer to end its stream (`TCP_TIMEWAIT_LEN` and `tcp_fin_timeout` of Linux), in nanoseconds.
const MINUTE: u64 = 60 * SECOND;

/// How long an end answers late segments if its peer is on the same host. Linux lets another connection use its port
/// after that (`tcp_tw_reuse`), in nanoseconds.
const LOCAL_TIME_WAIT: u64 = SECOND;

/// How long Linux asks the local network for an address before it gives up: three times, a second each (`arp(7)`,
/// `mcast_solicit` and `retrans_time_ms`), in nanoseconds.
const NEIGHBOR_TIMEOUT: u64 = 3 * SECOND;

/// Returns the time-out of a retransmission after this many.
fn timeout(first: u64, retries: u32) -> u64 {
    // The shift is bounded so that it does not overflow; the longest time-out is reached long before.
    (first << retries.min(20)).min(LONGEST_TIMEOUT)
}

impl State {
    /// Starts the timer of an end, unless it runs.
    fn arm(&mut self, key: Key, at: u64) {
        let at = at.max(self.now);
        if let Some(end) = self.ends.get_mut(key)
            && end.timer.is_none()
        {
            end.timer = Some(self.queue.add(at, Event::Timer(key)));
        }
    }

    /// Stops the timer of an end.
    pub(super) fn disarm(&mut self, key: Key) {
        if let Some(end) = self.ends.get_mut(key)
            && let Some(timer) = end.timer.take()
        {
            self.queue.cancel(timer);
        }
    }

    /// Starts the timer of an end that waits for the answer to an opening segment.
    pub(super) fn arm_opening(&mut self, key: Key) {
        if let Some(end) = self.ends.get_mut(key) {
            let wait = match end.peer_host {
                NOBODY => NEIGHBOR_TIMEOUT,
                _ => timeout(OPENING_TIMEOUT, end.retries),
            };
            self.arm(key, self.now.saturating_add(wait));
        }
    }

    /// Starts the timer of an end whose last wait begins.
    pub(super) fn arm_last_wait(&mut self, key: Key) {
        self.disarm(key);
        if let Some(end) = self.ends.get_mut(key) {
            let is_local = end.peer_host == end.door.host;
            let wait = match end.phase {
                Phase::TimeWait if is_local => LOCAL_TIME_WAIT,
                _ => MINUTE,
            };
            self.arm(key, self.now.saturating_add(wait));
        }
    }

    /// Starts, restarts or stops the retransmission timer of an end, after a segment has arrived.
    pub(super) fn reschedule(&mut self, key: Key) {
        let Some(end) = self.ends.get_mut(key) else {
            return;
        };
        let has_progressed = std::mem::take(&mut end.has_progressed);
        let (is_stuck, retries) = (end.is_stuck(), end.retries);
        if end.phase != Phase::Open || (end.timer.is_none() && !is_stuck) {
            return;
        }
        if has_progressed || !is_stuck {
            self.disarm(key);
        }
        if is_stuck {
            let wait = timeout(FIRST_TIMEOUT, retries);
            self.arm(key, self.now.saturating_add(wait));
        }
    }

    /// Notes that a packet does not reach its host, or not yet. Without this, nobody would send it again.
    pub(in crate::wire) fn miss(&mut self, packet: &Packet) {
        let Body::Segment(segment) = &packet.body else {
            return;
        };
        let (number, length) = (segment.number, segment.bytes.len() as u64);
        let length = match segment.kind {
            SegmentKind::Data => length,
            SegmentKind::Fin => 1,
            _ => 0,
        };
        if let Some(end) = self.ends.get_mut(segment.sender) {
            if length > 0 && number + length > end.unacked {
                end.lost.push((number, number + length));
            }
            if segment.kind == SegmentKind::Probe {
                end.lost_edge = u64::MAX;
            }
            let wait = timeout(FIRST_TIMEOUT, end.retries);
            if end.is_stuck() {
                self.arm(segment.sender, packet.sent.saturating_add(wait));
            }
        }
        let Some(end) = self.ends.get_mut(segment.receiver) else {
            return;
        };
        let wait = timeout(FIRST_TIMEOUT, end.retries);
        if end.is_blocked() {
            // Perhaps it answered a probe, which has to be repeated even if the window is still closed.
            end.lost_edge = u64::MAX;
        }
        if segment.kind == SegmentKind::Reset {
            // Whatever it answered has arrived in vain.
            end.lost_ack = end.lost_ack.max(end.next);
            end.lost_edge = u64::MAX;
        } else if end.other == segment.sender {
            end.lost_ack = end.lost_ack.max(segment.ack);
            end.lost_edge = end.lost_edge.max(segment.ack + segment.window);
        }
        if end.is_stuck() {
            let has_probed = end.retries > 0 && end.is_blocked();
            let since = match has_probed || end.lost_ack > end.unacked {
                true => end.last_sent,
                false => self.now,
            };
            self.arm(segment.receiver, since.saturating_add(wait));
        }
    }

    /// Has all ends between two hosts that wait for room, now or later, ask for it once: the link has changed for the
    /// worse, so perhaps no announcement will come.
    pub(in crate::wire) fn doubt(&mut self, one: HostId, other: HostId) {
        for key in self.ends_between(one, other) {
            self.miss_peer(key);
        }
    }

    /// Notes that no announcement of room may come from the peer of an end.
    pub(super) fn miss_peer(&mut self, key: Key) {
        if let Some(end) = self.ends.get_mut(key) {
            end.lost_edge = u64::MAX;
            self.reschedule(key);
        }
    }

    /// Processes the end of the timer of an end.
    pub(in crate::wire) fn expire(&mut self, key: Key) {
        let Some(end) = self.ends.get_mut(key) else {
            return;
        };
        end.timer = None;
        match end.phase {
            Phase::SynSent | Phase::SynReceived => self.repeat_opening(key),
            Phase::Open if end.is_stuck() => self.retransmit(key),
            Phase::Open if end.owner == Owner::Nobody && end.is_end_acked() => self.remove_end(key),
            Phase::TimeWait => self.finish(key),
            Phase::Open | Phase::Closed => {}
        }
    }

    /// Repeats an opening segment, or gives up.
    fn repeat_opening(&mut self, key: Key) {
        let most = self.tcp.syn_retries;
        let Some(end) = self.ends.get_mut(key) else {
            return;
        };
        end.retries += 1;
        let retries = end.retries;
        if let Owner::Listener(listener) = end.owner {
            if retries > ANSWER_RETRIES || self.listeners.get_mut(listener).is_none() {
                return self.remove_end(key);
            }
            self.send_segment(key, SegmentKind::SynAck, 0, Vec::new());
        } else if end.peer_host == NOBODY {
            return self.fail(key, Failure::HostUnreachable);
        } else if retries > most {
            return self.fail(key, Failure::TimedOut);
        } else {
            self.send_syn(key);
        }
        self.arm_opening(key);
    }

    /// Sends again what has got lost, or gives up.
    fn retransmit(&mut self, key: Key) {
        let most = self.tcp.retries;
        let Some(end) = self.ends.get_mut(key) else {
            return;
        };
        let most = match end.owner {
            Owner::Nobody if end.is_blocked() => most.min(ORPHAN_PROBES),
            Owner::Nobody => most.min(ORPHAN_RETRIES),
            _ => most,
        };
        if end.retries >= most {
            return self.fail(key, Failure::TimedOut);
        }
        end.retries += 1;
        let unacked = end.unacked;
        let mut lost = std::mem::take(&mut end.lost);
        lost.sort_unstable();
        let is_unheard = end.lost_ack > unacked;
        let (probes, next) = (end.is_blocked(), end.next);
        end.last_sent = self.now;
        end.lost_ack = 0;
        end.lost_edge = 0;
        let mut sent = unacked;
        for (first, after) in lost {
            // What was lost twice is sent once.
            self.send_again(key, first.max(sent), after);
            sent = sent.max(after);
        }
        if sent == unacked && is_unheard {
            let after = next.min(unacked + self.segment_size(key) as u64);
            self.send_again(key, unacked, after);
        } else if probes {
            self.send_segment(key, SegmentKind::Probe, next, Vec::new());
        }
    }
}
