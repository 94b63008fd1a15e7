//! Reads map files: the built-in ones and those of `--map-dir`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

use super::{Origin, TableMap, built_in, derive, listed, parse};

/// All maps of a run, by table.
#[derive(Debug, Clone, Default)]
pub struct MapSet {
    maps: BTreeMap<String, TableMap>,
}

impl MapSet {
    /// The maps compiled into the binary, one for each table of the open-source Gateway.
    ///
    /// # Errors
    /// `Internal` when one of them is faulty, which a test rules out.
    pub fn built_in() -> Result<Self> {
        let mut maps = BTreeMap::new();
        let mut problems = Vec::new();
        for (table, text) in built_in::FILES {
            match parse::parse(text, &format!("schema-maps/{table}.toml"), Origin::BuiltIn) {
                Ok(map) => {
                    maps.insert(map.table.clone(), map);
                }
                Err(mut found) => problems.append(&mut found),
            }
        }
        if problems.is_empty() {
            Ok(Self { maps })
        } else {
            Err(Error::new(ErrorKind::Internal, listed("built-in schema maps are faulty", &problems)))
        }
    }

    /// These maps and the files `*.toml` of `folder`; a file takes the place of the map of the same table.
    ///
    /// # Errors
    /// `Configuration` when the folder or a file cannot be read, holds no map, is faulty, or two files describe one table.
    pub fn with_dir(mut self, folder: &Path) -> Result<Self> {
        let cannot_read = |path: &Path, error: &std::io::Error| {
            Error::new(ErrorKind::Configuration, format!("cannot read {}", path.display())).because(error)
        };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|error| cannot_read(folder, &error))? {
            let path = entry.map_err(|error| cannot_read(folder, &error))?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
        }
        files.sort();
        if files.is_empty() {
            return Err(Error::new(
                ErrorKind::Configuration,
                format!("{} holds no file that ends in .toml", folder.display()),
            )
            .remedy("write a map to start from with `kongferry map show TABLE > TABLE.toml`"));
        }

        let mut problems = Vec::new();
        let mut described = BTreeMap::new();
        for path in files {
            let text = std::fs::read_to_string(&path).map_err(|error| cannot_read(&path, &error))?;
            let name = path.display().to_string();
            for (line, _) in text.lines().enumerate().filter(|(_, line)| line.starts_with(derive::TO_DECIDE))
            {
                problems.push(format!(
                    "{name}:{}: this line still asks; decide, edit the rule if need be, and take the line out",
                    line + 1
                ));
            }
            match parse::parse(&text, &name, Origin::Edited(path)) {
                Ok(map) => {
                    if let Some(earlier) = described.insert(map.table.clone(), name.clone()) {
                        problems
                            .push(format!("{name}: table {} is described in {earlier} as well", map.table));
                    }
                    self.maps.insert(map.table.clone(), map);
                }
                Err(mut found) => problems.append(&mut found),
            }
        }
        if problems.is_empty() {
            Ok(self)
        } else {
            let title = format!("schema maps in {} are faulty", folder.display());
            Err(Error::new(ErrorKind::Configuration, listed(&title, &problems)).remedy(
                "docs/schema-maps.md describes the files; `kongferry map show TABLE` prints a valid one",
            ))
        }
    }

    /// The map of `table`.
    pub fn get(&self, table: &str) -> Option<&TableMap> {
        self.maps.get(table)
    }

    /// All maps, by table name.
    pub fn iter(&self) -> impl Iterator<Item = &TableMap> {
        self.maps.values()
    }

    /// The words that `--include` knows.
    pub fn include_words(&self) -> BTreeSet<&str> {
        self.iter().filter_map(|map| map.include.as_deref()).collect()
    }
}
