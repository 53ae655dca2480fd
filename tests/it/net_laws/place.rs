//! Where a law runs.

use crate::net_connect::refusing_at;
#[cfg(target_os = "linux")]
use crate::net_race::BlackHole;
use crate::support::{block_on, plain};
use futures::channel::{mpsc, oneshot};
use futures::future::join;
use glassfrog::net::{TcpListener, TcpStream, UdpSocket};
use socket2::Socket;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;

/// A task for the other host.
type Job = Pin<Box<dyn Future<Output = ()>>>;

/// Where the two ends of a law's connections are. The law itself runs at the near end.
///
/// A socket of the far end works in tasks of the near end as well, as the sockets of one runtime work in tasks of
/// another.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The name or address of the near end.
    pub(crate) near: &'static str,
    /// The name or address of the far end.
    pub(crate) far: &'static str,
    /// Takes tasks for the far end if it is another host.
    jobs: Option<mpsc::UnboundedSender<Job>>,
    /// The address of a host that answers nobody, if the network is simulated.
    silent: Option<IpAddr>,
}

/// An address that refuses connections.
pub(crate) struct Refusing {
    /// The address.
    pub(crate) addr: SocketAddr,
    /// A bound socket that keeps the address from other processes.
    _place: Option<Socket>,
}

/// An address that does not answer, as if its packets were lost.
#[cfg(target_os = "linux")]
pub(crate) struct Silent {
    /// The address.
    pub(crate) addr: SocketAddr,
    /// The listener that does not answer on a real network.
    _hole: Option<BlackHole>,
}

impl Place {
    /// Runs a future at the far end.
    pub(crate) async fn there<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        let Some(jobs) = &self.jobs else {
            return future.await;
        };
        let (done, is_done) = oneshot::channel();
        let job = async {
            let _nobody_waits = done.send(future.await);
        };
        jobs.unbounded_send(Box::pin(job)).unwrap();
        is_done.await.unwrap()
    }

    /// Returns a listener at the far end, and its address.
    pub(crate) async fn listener(&self) -> (TcpListener, SocketAddr) {
        let listener = self.there(TcpListener::bind((self.far, 0))).await.unwrap();
        let addr = listener.local_addr().unwrap();
        (listener, addr)
    }

    /// Returns both ends of a connection: the one that connected, and the one that was accepted at the far end.
    pub(crate) async fn pair(&self) -> (TcpStream, TcpStream) {
        let (listener, addr) = self.listener().await;
        let (near, far) = join(TcpStream::connect(addr), listener.accept()).await;
        (near.unwrap(), far.unwrap().0)
    }

    /// Returns a connection for each origin that a stream can have, the stream first. A law must hold for all of them.
    pub(crate) async fn pairs(&self) -> Vec<(TcpStream, TcpStream)> {
        let connected = self.pair().await;
        let (peer, accepted) = self.pair().await;
        let mut pairs = vec![connected, (accepted, peer)];
        if self.silent.is_none() {
            let (adopted, peer) = plain();
            pairs.push((adopted.try_into().unwrap(), peer.try_into().unwrap()));
        }
        pairs
    }

    /// Returns an address at the far end that refuses connections.
    pub(crate) async fn refusing(&self) -> Refusing {
        if self.silent.is_some() {
            let (listener, addr) = self.listener().await;
            drop(listener);
            return Refusing { addr, _place: None };
        }
        let (place, addr) = refusing_at(Ipv4Addr::LOCALHOST.into());
        Refusing {
            addr,
            _place: Some(place),
        }
    }

    /// Returns an address that does not answer.
    #[cfg(target_os = "linux")]
    pub(crate) fn silent(&self) -> Silent {
        if let Some(ip) = self.silent {
            let addr = SocketAddr::new(ip, 1);
            return Silent { addr, _hole: None };
        }
        let hole = BlackHole::new();
        Silent {
            addr: hole.addr,
            _hole: Some(hole),
        }
    }

    /// Returns a UDP socket at the near end.
    pub(crate) async fn near_udp(&self) -> UdpSocket {
        UdpSocket::bind((self.near, 0)).await.unwrap()
    }

    /// Returns a UDP socket at the far end.
    pub(crate) async fn far_udp(&self) -> UdpSocket {
        self.there(UdpSocket::bind((self.far, 0))).await.unwrap()
    }
}

/// The address of the loopback interface.
const LOOPBACK: &str = "127.0.0.1";

/// Checks a law on the loopback interface of this machine.
pub(crate) fn real(law: impl AsyncFnOnce(Place)) {
    let place = Place {
        near: LOOPBACK,
        far: LOOPBACK,
        jobs: None,
        silent: None,
    };
    block_on(law(place));
}

#[cfg(feature = "sim")]
pub(crate) use self::simulation::{between_hosts, simulated};

/// The simulated networks.
#[cfg(feature = "sim")]
mod simulation {
    use super::{Job, LOOPBACK, Place};
    use crate::support::{few_or_many, watchdog};
    use futures::StreamExt;
    use futures::channel::mpsc;
    use glassfrog::sim::Sim;
    use std::future::pending;
    use std::net::IpAddr;

    /// The number of simulations of each law. Each has other latencies, other short reads and writes, and another
    /// order of its hosts.
    const SEEDS: u64 = few_or_many(3, 10) as u64;

    /// The name of the host on which the law runs.
    const NEAR: &str = "near";

    /// The name of the host at the far end.
    const FAR: &str = "far";

    /// The name of the host that answers nobody.
    const SILENT: &str = "silent";

    /// Checks a law on the loopback interface of a simulated host.
    pub(crate) fn simulated<L: AsyncFn(Place) + Copy + 'static>(law: L) {
        simulate(law, |_, silent| Place {
            near: LOOPBACK,
            far: LOOPBACK,
            jobs: None,
            silent: Some(silent),
        });
    }

    /// Checks a law between two simulated hosts.
    pub(crate) fn between_hosts<L: AsyncFn(Place) + Copy + 'static>(law: L) {
        simulate(law, |sim, silent| {
            let (jobs, queue) = mpsc::unbounded();
            let mut queue = Some(queue);
            sim.host(FAR, move || {
                let mut queue = queue.take().expect("the far host has started twice");
                async move {
                    while let Some(job) = queue.next().await {
                        let job: Job = job;
                        drop(glassfrog::spawn(job));
                    }
                    pending().await
                }
            });
            Place {
                near: NEAR,
                far: FAR,
                jobs: Some(jobs),
                silent: Some(silent),
            }
        });
    }

    /// Checks a law in several simulations, at a place that `place` adds to each.
    fn simulate<L: AsyncFn(Place) + Copy + 'static>(
        law: L,
        place: impl Fn(&mut Sim, IpAddr) -> Place,
    ) {
        let _watchdog = watchdog();
        let run = |seed| {
            let mut sim = Sim::new(seed);
            sim.host(SILENT, pending);
            let silent = sim.lookup(SILENT).unwrap();
            let place = place(&mut sim, silent);
            sim.client(NEAR, async move {
                law(place).await;
                Ok(())
            });
            sim.partition(NEAR, SILENT);
            match sim.run() {
                Ok(report) => report.hash,
                Err(failure) => panic!("{failure}"),
            }
        };
        let hashes: Vec<_> = (0..SEEDS).map(run).collect();
        assert_eq!(run(0), hashes[0], "the same seed gives another run");
    }
}
