//! A proxy between the program and a server, which a test makes stall, cut or crawl.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Bytes passed on at once.
const CHUNK: usize = 4096;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the program to the server.
    Out,
    /// From the server to the program.
    Back,
}

/// What it does with the bytes of all its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    /// Takes no byte any more of those that go this way, or of any; the connections stay open.
    Stall(Option<Way>),
    /// Rests that long before each chunk.
    Crawl(Duration),
}

impl Mode {
    fn stalls(self, way: Way) -> bool {
        matches!(self, Self::Stall(which) if which.is_none_or(|which| which == way))
    }
}

/// The proxy of one server. It lasts as long as the runtime.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
    cuts: Arc<watch::Sender<u64>>,
}

impl Proxy {
    /// One before the server at `host:port`.
    pub async fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, cuts) = (Arc::new(watch::Sender::new(Mode::Pass)), Arc::new(watch::Sender::new(0)));
        let proxy = Self { address, mode: Arc::clone(&mode), cuts: Arc::clone(&cuts) };
        let server = server.to_owned();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let (mode, mut cut) = (Arc::clone(&mode), cuts.subscribe());
                cut.mark_unchanged();
                tokio::spawn(async move {
                    let (client_reads, client_writes) = client.into_split();
                    let (server_reads, server_writes) = server.into_split();
                    tokio::select! {
                        _ = pass(client_reads, server_writes, Way::Out, &mode) => {}
                        _ = pass(server_reads, client_writes, Way::Back, &mode) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        proxy
    }

    /// Passes nothing on any more, of one way or both.
    pub fn stall(&self, way: Option<Way>) {
        self.mode.send_replace(Mode::Stall(way));
    }

    /// Passes everything on, but only so slowly.
    pub fn crawl(&self, pause: Duration) {
        self.mode.send_replace(Mode::Crawl(pause));
    }

    /// Passes everything on again.
    pub fn go_on(&self) {
        self.mode.send_replace(Mode::Pass);
    }

    /// Closes all connections there are.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    way: Way,
    mode: &watch::Sender<Mode>,
) -> io::Result<()> {
    let mut modes = mode.subscribe();
    let mut chunk = [0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await?;
        let now = *modes.wait_for(|mode| !mode.stalls(way)).await.map_err(io::Error::other)?;
        if let Mode::Crawl(pause) = now {
            tokio::time::sleep(pause).await;
        }
        if read == 0 {
            return Ok(());
        }
        to.write_all(&chunk[..read]).await?;
    }
}
