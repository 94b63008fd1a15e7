//! Arguments of commands that need no source.

use clap::Args;

use crate::config::target_from_url;
use crate::error::{Error, ErrorKind, Result};
use crate::target::Target;

/// Where the target is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connections")]
pub struct TargetArgs {
    /// PostgreSQL: postgres://user@host:5432/database?schema=public
    ///
    /// The password comes from KONGFERRY_TARGET_PASSWORD or from the file named by KONGFERRY_TARGET_PASSWORD_FILE.
    #[arg(long, value_name = "URL", env = "KONGFERRY_TARGET", hide_env_values = true)]
    target: Option<String>,
}

impl TargetArgs {
    /// Connects.
    pub async fn open(&self) -> Result<Target> {
        let url = self.target.as_deref().ok_or_else(|| {
            Error::new(ErrorKind::Usage, "no target is given")
                .remedy("name it with --target URL or in the environment as KONGFERRY_TARGET")
        })?;
        Target::connect(&target_from_url(url)?).await.map_err(Error::before_writing)
    }
}
