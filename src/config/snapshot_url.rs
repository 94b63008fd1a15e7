//! `snapshot:/backup/node1,/backup/node2?tag=nightly&keyspace=kong&as_of=1700000000`; a directory may have the node's name in
//! front: `n1=/backup/node1`.

use std::path::PathBuf;

use super::decoded;
use crate::error::{Error, ErrorKind, Result};
use crate::source::snapshot::{NodeDirectory, SnapshotConfig, SnapshotPlace, parse_instant};

/// What such a source begins with.
const SCHEME: &str = "snapshot:";
/// Keyspace a Gateway uses unless told otherwise.
const DEFAULT_KEYSPACE: &str = "kong";

fn unusable(what: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("the source cannot be used: {what}")).remedy(
        "write it as snapshot:DIRECTORY[,DIRECTORY...]?tag=NAME&keyspace=kong, one directory for each node",
    )
}

/// The snapshot that a source names; `None` when it is no snapshot but a URL of a cluster.
///
/// # Errors
///
/// `Configuration`, naming the part that cannot be used.
pub fn snapshot_from_url(url: &str) -> Result<Option<SnapshotConfig>> {
    let Some(rest) = url.strip_prefix(SCHEME) else { return Ok(None) };
    let (list, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut place = SnapshotPlace::default();
    for directory in list.split(',').filter(|directory| !directory.is_empty()) {
        place.nodes.push(node(directory)?);
    }
    if place.nodes.is_empty() {
        return Err(unusable("it names no directory"));
    }
    let mut config = SnapshotConfig { place, keyspace: DEFAULT_KEYSPACE.to_owned(), as_of: None };
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match key.as_ref() {
            "tag" => config.place.tag = Some(value.into_owned()),
            "keyspace" => config.keyspace = value.into_owned(),
            "as_of" => {
                let wrong = || unusable("as_of is no instant such as 2026-11-20T02:00:00Z");
                config.as_of = Some(parse_instant(&value).ok_or_else(wrong)?);
            }
            other => {
                let what = format!("unknown parameter `{other}`; known are tag, keyspace and as_of");
                return Err(unusable(&what));
            }
        }
    }
    Ok(Some(config))
}

/// A directory, with the name of its node in front of an equals sign; one in the directory's own name is written %3D.
fn node(text: &str) -> Result<NodeDirectory> {
    let (name, path) = match text.split_once('=') {
        Some((name, path)) if !name.contains('/') => (Some(name), path),
        _ => (None, text),
    };
    let utf8 = |text: &str| decoded(text).ok_or_else(|| unusable("a directory is not UTF-8"));
    let name = name.map(utf8).transpose()?.filter(|name| !name.is_empty());
    if path.is_empty() {
        return Err(unusable("a node is named, but no directory"));
    }
    Ok(NodeDirectory { name, path: PathBuf::from(utf8(path)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_for_each_node() {
        let url = "snapshot:/backup/a%2Cb,n2=/backup/c?tag=nightly&as_of=1700000000";
        let config = snapshot_from_url(url).unwrap().unwrap();
        let named = NodeDirectory { name: Some("n2".into()), path: PathBuf::from("/backup/c") };
        assert_eq!(config.place.nodes, [PathBuf::from("/backup/a,b").into(), named]);
        assert_eq!(config.place.tag.as_deref(), Some("nightly"));
        assert_eq!((config.keyspace.as_str(), config.as_of), ("kong", Some(1_700_000_000)));
    }

    #[test]
    fn what_is_no_snapshot() {
        assert!(snapshot_from_url("cassandra://a/kong").unwrap().is_none());
        for url in ["snapshot:", "snapshot:,", "snapshot:/a?day=1", "snapshot:/a?as_of=now", "snapshot:n1="] {
            assert_eq!(snapshot_from_url(url).unwrap_err().exit_code(), 2, "{url}");
        }
    }
}
