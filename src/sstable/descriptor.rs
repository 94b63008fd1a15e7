//! File names: `<version>-<id>-<format>-<component>`, such as `nb-7-big-Data.db`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::error::{Error, ErrorKind, Result};

/// The two layouts there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Index.db and Summary.db beside the data.
    Big,
    /// Tries: Partitions.db and Rows.db beside the data.
    Bti,
}

/// A version this reader knows. In the order of the releases that write them by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Cassandra 3.11 up to 3.11.10.
    Md,
    /// Cassandra 3.11 from 3.11.11.
    Me,
    /// Cassandra 4.0 before its release.
    Na,
    /// Cassandra 4.0 and 4.1, and 5.0 while it is compatible with them.
    Nb,
    /// Cassandra 5.0.
    Oa,
    /// Cassandra 5.0 with the `bti` format.
    Da,
}

/// The versions, for messages.
const KNOWN: &str = "md, me, na, nb, oa (big) and da (bti)";

impl Version {
    /// The version of that tag in that format.
    pub fn of(tag: &str, format: Format) -> Option<Self> {
        match (tag, format) {
            ("md", Format::Big) => Some(Self::Md),
            ("me", Format::Big) => Some(Self::Me),
            ("na", Format::Big) => Some(Self::Na),
            ("nb", Format::Big) => Some(Self::Nb),
            ("oa", Format::Big) => Some(Self::Oa),
            ("da", Format::Bti) => Some(Self::Da),
            _ => None,
        }
    }

    /// Its tag.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Md => "md",
            Self::Me => "me",
            Self::Na => "na",
            Self::Nb => "nb",
            Self::Oa => "oa",
            Self::Da => "da",
        }
    }

    /// The layout of the files beside the data.
    pub fn format(self) -> Format {
        if self == Self::Da { Format::Bti } else { Format::Big }
    }

    /// Checksums in Statistics.db, and a bound in CompressionInfo.db above which chunks are stored raw.
    pub(super) fn is_4_or_later(self) -> bool {
        self >= Self::Na
    }

    /// Short partition deletions, and expiry instants up to 2106 instead of 2038.
    pub(super) fn is_5(self) -> bool {
        self >= Self::Oa
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

/// A file of an SSTable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Component {
    Data,
    Statistics,
    CompressionInfo,
    Crc,
    Index,
    Summary,
    Filter,
    Partitions,
    Rows,
    Toc,
    Digest,
    /// Anything else, such as the files of attached indexes.
    Other,
}

impl Component {
    const NAMED: [(Self, &'static str); 11] = [
        (Self::Data, "Data.db"),
        (Self::Statistics, "Statistics.db"),
        (Self::CompressionInfo, "CompressionInfo.db"),
        (Self::Crc, "CRC.db"),
        (Self::Index, "Index.db"),
        (Self::Summary, "Summary.db"),
        (Self::Filter, "Filter.db"),
        (Self::Partitions, "Partitions.db"),
        (Self::Rows, "Rows.db"),
        (Self::Toc, "TOC.txt"),
        (Self::Digest, "Digest.crc32"),
    ];

    fn of(name: &str) -> Self {
        Self::NAMED.iter().find(|(_, known)| *known == name).map_or(Self::Other, |(component, _)| *component)
    }

    /// The end of its file name; empty for [`Component::Other`].
    pub fn name(self) -> &'static str {
        Self::NAMED.iter().find(|(component, _)| *component == self).map_or("", |(_, name)| name)
    }
}

/// Which SSTable of a directory: the files whose names begin alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Descriptor {
    /// Version of its files.
    pub version: Version,
    /// A number, or 28 characters; means nothing beyond telling SSTables apart.
    pub id: String,
}

impl Descriptor {
    /// Takes a file name apart. `None` when it is no file of an SSTable (`manifest.json`, `schema.cql`, ...).
    ///
    /// # Errors
    ///
    /// When it is one of a version that is not read here: an unread file must never look like an empty table.
    pub fn parse(name: &str) -> Result<Option<(Self, Component)>> {
        let mut parts = name.splitn(4, '-');
        if let (Some(tag), Some(id), Some(format), Some(component)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        {
            let layout = match format {
                "big" => Some(Format::Big),
                "bti" => Some(Format::Bti),
                _ => None,
            };
            if let Some(version) = layout.and_then(|layout| Version::of(tag, layout)) {
                return Ok(Some((Self { version, id: id.to_owned() }, Component::of(component))));
            }
        }
        // Releases before 2.2 put keyspace and table in front.
        if name.ends_with("-Data.db") {
            let what = format!("its name is not that of a version read here: {KNOWN}");
            return Err(Error::whole(ErrorKind::Unsupported, &Arc::from(name), what));
        }
        Ok(None)
    }

    /// What the names of its files begin with, such as `nb-7-big`.
    pub fn prefix(&self) -> String {
        let format = match self.version.format() {
            Format::Big => "big",
            Format::Bti => "bti",
        };
        format!("{}-{}-{format}", self.version, self.id)
    }

    /// Name of the file with that component.
    pub fn file(&self, component: Component) -> String {
        format!("{}-{}", self.prefix(), component.name())
    }

    /// The SSTables among the files of a directory, each with the components it has.
    ///
    /// # Errors
    ///
    /// For a version that is not read here, and for files of an SSTable without its Data.db.
    pub fn group<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<BTreeMap<Self, Vec<Component>>> {
        let mut groups: BTreeMap<Self, Vec<Component>> = BTreeMap::new();
        for name in names {
            if let Some((descriptor, component)) = Self::parse(name)? {
                groups.entry(descriptor).or_default().push(component);
            }
        }
        for (descriptor, components) in &groups {
            if !components.contains(&Component::Data) {
                let file = Arc::from(descriptor.file(Component::Data));
                let what = "is not there, but other files of the same SSTable are";
                return Err(Error::whole(ErrorKind::Missing, &file, what));
            }
        }
        Ok(groups)
    }

    /// Names of the files that the text of a TOC.txt lists.
    pub fn listed<'t>(&self, toc: &'t str) -> impl Iterator<Item = String> + use<'_, 't> {
        let prefix = self.prefix();
        toc.lines().map(str::trim).filter(|line| !line.is_empty()).map(move |line| format!("{prefix}-{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let (descriptor, component) = Descriptor::parse("nb-7-big-CompressionInfo.db").unwrap().unwrap();
        assert_eq!((descriptor.version, descriptor.id.as_str()), (Version::Nb, "7"));
        assert_eq!(component, Component::CompressionInfo);
        assert_eq!(descriptor.file(Component::Crc), "nb-7-big-CRC.db");
        let long = "da-3h5p_11ls_5etwa2j5yxkfr3qt7w-bti-Data.db";
        let (descriptor, component) = Descriptor::parse(long).unwrap().unwrap();
        assert_eq!(descriptor.file(component), long);
        assert!(Descriptor::parse("manifest.json").unwrap().is_none());
        assert!(Descriptor::parse("schema.cql").unwrap().is_none());
    }

    #[test]
    fn unknown_versions_are_refused_by_name() {
        for name in [
            "mc-1-big-Data.db",
            "pa-1-big-Data.db",
            "ea-1-bti-Data.db",
            "da-1-big-Data.db",
            "ks-t-jb-1-Data.db",
        ] {
            let error = Descriptor::parse(name).unwrap_err();
            assert_eq!((error.kind(), error.file()), (ErrorKind::Unsupported, name));
        }
    }

    #[test]
    fn an_sstable_without_data_is_not_overlooked() {
        let names = ["nb-1-big-Data.db", "nb-1-big-TOC.txt", "nb-2-big-Statistics.db", "schema.cql"];
        let error = Descriptor::group(names).unwrap_err();
        assert_eq!((error.kind(), error.file()), (ErrorKind::Missing, "nb-2-big-Data.db"));
        assert_eq!(Descriptor::group(names[..2].iter().copied()).unwrap().len(), 1);
    }
}
