//! A proxy that lends one server connection to all its clients, a transaction at a time, as poolers in transaction mode do.
//! It speaks as much of the protocol as simple queries need.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// The running proxy.
pub struct TransactionPooler {
    /// URL of the database behind it.
    pub url: String,
}

impl TransactionPooler {
    /// A proxy before the database at `url`, which must not ask for a password.
    pub async fn before(url: &str) -> Self {
        let config: tokio_postgres::Config = url.parse().unwrap();
        let (user, database) = (config.get_user().unwrap(), config.get_dbname().unwrap());
        let mut server = TcpStream::connect(("127.0.0.1", config.get_ports()[0])).await.unwrap();
        let startup = format!("\0\u{3}\0\0user\0{user}\0database\0{database}\0\0").into_bytes();
        send_framed(&mut server, None, &startup).await;
        let greeting = answer(&mut server).await;
        let server = Arc::new(Mutex::new(server));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, Arc::clone(&server), greeting.clone()));
            }
        });
        Self { url: format!("postgres://{user}@127.0.0.1:{port}/{database}?sslmode=disable") }
    }
}

async fn serve(mut client: TcpStream, server: Arc<Mutex<TcpStream>>, greeting: Vec<u8>) -> Option<()> {
    let length = client.read_u32().await.ok()?;
    let mut startup = vec![0; usize::try_from(length).unwrap() - 4];
    client.read_exact(&mut startup).await.ok()?;
    client.write_all(&greeting).await.ok()?;
    loop {
        let (kind, body) = message(&mut client).await?;
        if kind == b'X' {
            return None;
        }
        let mut server = server.lock().await;
        send_framed(&mut server, Some(kind), &body).await;
        let reply = answer(&mut server).await;
        client.write_all(&reply).await.ok()?;
    }
}

async fn send_framed(stream: &mut TcpStream, kind: Option<u8>, body: &[u8]) {
    let mut bytes: Vec<u8> = kind.into_iter().collect();
    bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    bytes.extend(body);
    stream.write_all(&bytes).await.unwrap();
}

async fn message(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await.ok()?;
    let length = stream.read_u32().await.ok()?;
    let mut body = vec![0; usize::try_from(length).unwrap() - 4];
    stream.read_exact(&mut body).await.ok()?;
    Some((kind, body))
}

/// Everything up to and with `ReadyForQuery`, as it came.
async fn answer(server: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let (kind, body) = message(server).await.unwrap();
        bytes.push(kind);
        bytes.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend(&body);
        if kind == b'Z' {
            return bytes;
        }
    }
}
