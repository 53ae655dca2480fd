//! Races between several addresses (RFC 8305, "Happy Eyeballs"), one of which does not answer.

use super::{Place, assert_fails, is_simulated, read, write};
use glassfrog::net::TcpStream;
use glassfrog::time::{now, timeout};
use std::io;
use std::time::Duration;

laws! {
    a_connect_to_a_silent_address_waits,
    a_silent_address_costs_250_ms,
    a_refusing_address_costs_no_delay,
    a_failed_race_names_every_address,
    a_connect_to_a_silent_address_times_out,
}

/// The delay before the next attempt begins, as documented.
const DELAY: Duration = Duration::from_millis(250);

async fn a_connect_to_a_silent_address_waits(place: Place) {
    let silent = place.silent();
    let connecting = timeout(DELAY, TcpStream::connect(silent.addr));
    connecting.await.unwrap_err();
}

async fn a_silent_address_costs_250_ms(place: Place) {
    let (listener, answering) = place.listener().await;
    for count in 0..=2 {
        let silent: Vec<_> = (0..count).map(|_| place.silent()).collect();
        let mut addrs: Vec<_> = silent.iter().map(|silent| silent.addr).collect();
        addrs.push(answering);
        let start = now();
        let stream = TcpStream::connect(&addrs[..]).await.unwrap();
        let elapsed = now() - start;
        assert!(elapsed >= count * DELAY, "{elapsed:?}");
        // A loaded machine may need longer, but simulated time stands still.
        assert!(
            !is_simulated() || elapsed < (count + 1) * DELAY,
            "{elapsed:?}"
        );
        assert_eq!(stream.peer_addr().unwrap(), answering);
        write(&stream, b"x").await;
        assert_eq!(read(&listener.accept().await.unwrap().0, 1).await, b"x");
    }
}

async fn a_refusing_address_costs_no_delay(place: Place) {
    let (refusing, silent) = (place.refusing().await, place.silent());
    let (_listener, answering) = place.listener().await;
    // The refusals begin the next attempts, so that only the silent address is waited for.
    let addrs = [refusing.addr, silent.addr, refusing.addr, answering];
    let start = now();
    let stream = TcpStream::connect(addrs).await.unwrap();
    let elapsed = now() - start;
    assert_eq!(stream.peer_addr().unwrap(), answering);
    assert!(elapsed >= DELAY, "{elapsed:?}");
    assert!(!is_simulated() || elapsed < 2 * DELAY, "{elapsed:?}");
}

async fn a_failed_race_names_every_address(place: Place) {
    let refusing = [place.refusing().await, place.refusing().await];
    let addrs = refusing.each_ref().map(|refusing| refusing.addr);
    let error = TcpStream::connect(addrs).await.unwrap_err();
    let text = error.to_string();
    for addr in addrs {
        assert!(text.contains(&format!("connect to {addr}: ")), "{text}");
    }
}

async fn a_connect_to_a_silent_address_times_out(place: Place) {
    /// Seven requests, after 1, 2, 4, 8, 16 and 32 s, and the wait for the last one.
    const AS_DOCUMENTED: Duration = Duration::from_secs(127);
    /// Since Linux 6.5 the first waits are equally long (`tcp_syn_linear_timeouts`).
    const SHORTEST: Duration = Duration::from_secs(60);
    if !is_simulated() && cfg!(not(feature = "slow")) {
        println!("skipped: this takes the kernel more than a minute");
        return;
    }
    let silent = place.silent();
    let start = now();
    let error = TcpStream::connect(silent.addr).await.unwrap_err();
    let elapsed = now() - start;
    assert!(
        error.to_string().contains(&silent.addr.to_string()),
        "{error}"
    );
    assert_fails(Err::<(), _>(error), io::ErrorKind::TimedOut);
    match is_simulated() {
        true => assert_eq!(elapsed.as_secs(), AS_DOCUMENTED.as_secs()),
        false => assert!(elapsed >= SHORTEST, "{elapsed:?}"),
    }
}
