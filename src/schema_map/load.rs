//! Reads map files: the built-in ones and those of `--map-dir`.

/// All maps of a run, by table.
#[derive(Debug, Clone, Default)]
pub struct MapSet {}
