//! Station 3: bytes in, bytes out; no I/O.
//!
//! In: a [`TableMapping`](crate::schema_map::TableMapping), compiled once per table into a [`RowShaper`], and pages of CQL
//! value bytes. Out: [`Shaped`]: tuples of a binary COPY, and the rows that are not among them, each with its reason.
//!
//! # Conversions
//!
//! A conversion exists where no value can change its meaning; where a single value does not fit, its row is rejected. Every
//! other pair of types is refused when the map is compiled.
//!
//! | CQL | `PostgreSQL` | |
//! |---|---|---|
//! | uuid, timeuuid | uuid | bytes |
//! | | text, varchar | hyphenated, lower case |
//! | timeuuid | timestamptz, timestamp | its instant, to the microsecond |
//! | text, ascii | text, varchar | bytes; U+0000 and what is not UTF-8 rejected |
//! | | json, jsonb | checked as the server would; the empty string is NULL |
//! | | jsonb[] | text of a JSON array |
//! | | uuid | hyphenated form |
//! | tinyint, smallint, int, bigint, counter, varint | smallint, integer, bigint | range checked |
//! | | numeric | |
//! | | text, varchar | decimal digits |
//! | decimal | numeric | digits after the point kept |
//! | float | real | bytes |
//! | | double precision, numeric | by its shortest decimal text: 0.1 stays 0.1 |
//! | double | double precision | bytes |
//! | | numeric | by its shortest decimal text |
//! | boolean | boolean | |
//! | timestamp | timestamptz, timestamp | UTC wall time in the latter |
//! | date | date | |
//! | time | time | whole microseconds, others rejected |
//! | duration | interval | whole microseconds, others rejected |
//! | blob | bytea | bytes |
//! | inet | inet | |
//! | | text, varchar | shortest form |
//! | list, set of X | array of Y | where X converts to Y; order and NULLs kept |
//! | list, set, map, tuple, user-defined type | json, jsonb | see `collection_json` |
//!
//! A zero-length value, which Cassandra allows for every type, is NULL where the type has a fixed size, and counted. Columns
//! with a precision of their own (`numeric(10,2)`, `timestamp(0)`) take what fits exactly; `PostgreSQL` alone would round.

mod array;
mod blob;
mod boolean;
mod cache_key;
pub(crate) mod calendar;
mod cells;
pub mod census;
mod codec;
mod collection_json;
mod column;
mod date_time;
mod default;
mod expiry;
mod float;
mod inet;
mod integer;
mod json;
mod json_check;
mod key;
mod keyring;
mod numeric;
pub mod shaped;
pub mod shaper;
mod text;
mod timestamp;
mod tuple;
mod uuid;
mod workspace;

pub use codec::converts;
pub use key::{quoted as quoted_text, readable};
pub use shaped::{Reason, Reject, Repair, Shaped, TupleMark};
pub use shaper::{RowShaper, ShaperContext};
pub use timestamp::iso as instant_text;
