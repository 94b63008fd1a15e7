//! The directory a run leaves files in: for its user alone.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};

/// The directory of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDirectory(PathBuf);

impl RunDirectory {
    /// Makes `wanted`, or `kongferry-` and the first digits of the run's id in the current directory. Others cannot read it.
    ///
    /// # Errors
    /// `Configuration`; nothing was changed on either side.
    pub fn create(wanted: Option<&Path>, run: Uuid) -> Result<Self> {
        let digits = &run.simple().to_string()[..8];
        let path = wanted.map_or_else(|| PathBuf::from(format!("kongferry-{digits}")), Path::to_path_buf);
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(|error| cannot_write(&path, &error))?;
        Ok(Self(path))
    }

    /// Writes a file that only its owner can read, and waits until it is on disk.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&path).and_then(|mut file| {
            file.write_all(content.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| cannot_write(&path, &error))?;
        Ok(path)
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Configuration, format!("cannot write {}", path.display()))
        .because(error.kind())
        .remedy("start kongferry where it may write, or name a directory with --report DIR")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_owner_can_read_what_a_run_leaves() {
        let place = tempfile::tempdir().unwrap();
        let wanted = place.path().join("a/b");
        let directory = RunDirectory::create(Some(&wanted), Uuid::nil()).unwrap();
        let path = directory.write("rearm.sql", "SELECT 1;").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "SELECT 1;");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&wanted), mode(&path)), (0o700, 0o600));
        }
        let refused = RunDirectory::create(Some(&path.join("c")), Uuid::nil()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Configuration);
    }
}
