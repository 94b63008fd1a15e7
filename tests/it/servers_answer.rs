//! Every server of the matrix starts and speaks its protocol.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support;

/// Every server of the matrix starts and speaks its protocol.
#[test]
fn servers_answer() {
    for version in support::servers::cassandra_versions() {
        let server = support::servers::cassandra(version);
        assert_eq!(server.version, *version);
        assert!(server.url("kong").starts_with("cassandra://"));
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(&[3, 0, 0, 0, 5, 0, 0, 0, 0]).unwrap();
        let mut header = [0; 9];
        stream.read_exact(&mut header).unwrap();
        assert_eq!(header[4], 6, "OPTIONS is answered with SUPPORTED");
    }
    for version in support::servers::postgres_versions() {
        let server = support::servers::postgres(version);
        assert!(server.database_url("kong").ends_with(&format!(":{}/kong", server.port)));
        assert!(std::ptr::eq(server, support::servers::postgres(version)));
    }
}
