//! Where the two servers are and how to log in, from what the user gave.
//!
//! In: URLs (command line or environment) and passwords (URL, environment, file, prompt). Out: [`SourceSettings`] and a
//! [`TargetConfig`](crate::target::TargetConfig), with passwords wrapped so that no debug output shows them. Reading kong.conf joins here later.

mod password;
mod snapshot_url;
mod source_url;
mod target_url;

pub use snapshot_url::snapshot_from_url;
pub use source_url::SourceSettings;
pub use target_url::target_from_url;

/// Percent-decodes one part of a URL.
fn decoded(part: &str) -> Option<String> {
    percent_encoding::percent_decode_str(part).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
