//! Runs: one row each.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::task::NewTask;
use super::{Ledger, schema, to_json, unexpected, unreadable};
use crate::error::{Error, ErrorKind, Result};
use crate::policy::{Keep, Policies};
use crate::schema_map::Choice;
use crate::target::armour::Armour;
use crate::target::{Catalog, LoadTransaction, Target, failure};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Not over yet: under way, or broken off.
    Loading,
    /// Loaded, settled, and both sides agreed.
    Done,
    /// Broken off, and everything taken off the tables is back.
    Rearmed,
    /// The target is as it was before.
    Undone,
}

impl RunState {
    /// Its name in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Done => "done",
            Self::Rearmed => "rearmed",
            Self::Undone => "undone",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Loading, Self::Done, Self::Rearmed, Self::Undone]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// What a run agreed to do. Whoever goes on with it must mean the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Name of the source's cluster.
    pub cluster: String,
    /// Its keyspace.
    pub keyspace: String,
    /// Whether indexes, constraints and triggers stay in place.
    pub keep_constraints: bool,
    /// Which tables the user asked for.
    pub choice: Choice,
    /// What becomes of bad rows.
    #[serde(default)]
    pub policies: Policies,
    /// Which of several rows with the same key stays, once somebody decided.
    #[serde(default)]
    pub on_duplicate: Option<Keep>,
    /// Whether the source is written while it is read.
    #[serde(default)]
    pub live: bool,
    /// Seconds since 1970 at the start, by the clock of the host that began the run.
    pub started: i64,
    /// Tables that are copied, with a fingerprint of what is read, how it is shaped and where it goes.
    pub tables: Vec<(String, String)>,
    /// The target's tables as they were.
    pub catalog: Catalog,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its id.
    pub id: Uuid,
    /// Where it stands.
    pub state: RunState,
    /// Whether indexes, constraints and triggers are in place.
    pub armed: bool,
    /// Build of kongferry that began it.
    pub program: String,
    /// What it agreed to do.
    pub terms: Terms,
    /// What is taken off the tables, unless the run keeps it there.
    pub armour: Option<Armour>,
    /// Start and end, as text in UTC.
    pub began_at: String,
    /// End, as text in UTC.
    pub ended_at: Option<String>,
}

impl Run {
    /// Whether something must still happen before another run can begin.
    pub fn is_unfinished(&self) -> bool {
        self.state == RunState::Loading || !self.armed
    }

    /// The newest run on `target`, if there ever was one.
    ///
    /// # Errors
    /// `Preflight` when the ledger has another layout.
    pub async fn newest(target: &Target) -> Result<Option<Self>> {
        if !schema::exists(target).await? {
            return Ok(None);
        }
        let what = "read the ledger";
        let client = target.client().await?;
        let rows = client
            .query(
                "SELECT id, state, armed, program, terms::text, armour::text,
                        pg_catalog.to_char(began_at, 'YYYY-MM-DD HH24:MI:SS'),
                        pg_catalog.to_char(ended_at, 'YYYY-MM-DD HH24:MI:SS')
                 FROM kongferry.run ORDER BY place DESC LIMIT 1",
                &[],
            )
            .await
            .map_err(|error| {
                failure::statement_needing(&error, format!("cannot {what}"), "USAGE ON SCHEMA kongferry")
            })?;
        let Some(row) = rows.first() else { return Ok(None) };
        let read = || {
            Ok::<_, tokio_postgres::Error>((
                row.try_get::<_, Uuid>(0)?,
                row.try_get::<_, String>(1)?,
                row.try_get::<_, bool>(2)?,
                row.try_get::<_, String>(3)?,
                row.try_get::<_, String>(4)?,
                row.try_get::<_, Option<String>>(5)?,
                row.try_get::<_, String>(6)?,
                row.try_get::<_, Option<String>>(7)?,
            ))
        };
        let (id, state, armed, program, terms, armour, began_at, ended_at) =
            read().map_err(|_| unexpected(what))?;
        Ok(Some(Self {
            id,
            state: RunState::parse(&state).ok_or_else(|| unreadable("a state"))?,
            armed,
            program,
            terms: serde_json::from_str(&terms).map_err(|_| unreadable("terms"))?,
            armour: armour
                .map(|armour| serde_json::from_str(&armour).map_err(|_| unreadable("definitions")))
                .transpose()?,
            began_at,
            ended_at,
        }))
    }
}

/// The refusal to begin another run while one is not over.
pub fn refuse_unfinished(run: &Run) -> Result<()> {
    if !run.is_unfinished() {
        return Ok(());
    }
    let state = if run.armed {
        "it was broken off"
    } else {
        "it was broken off, and its tables are without indexes, constraints and triggers"
    };
    Err(Error::new(
        ErrorKind::Preflight,
        format!("run {} of {} UTC on this target is not over: {state}", run.id, run.began_at),
    )
    .remedy(
        "`kongferry migrate --resume` completes it; `kongferry undo` puts the target back as it was before; `kongferry status` \
         shows where it stands",
    ))
}

impl Ledger {
    /// Writes down a new run with all its tasks, in one synchronous commit, before anything on the target is changed.
    pub async fn begin(
        target: &Target,
        id: Uuid,
        terms: &Terms,
        armour: Option<&Armour>,
        tasks: &[NewTask],
    ) -> Result<Self> {
        let mut transaction = target.begin().await?;
        if !schema::exists(target).await? {
            schema::create(&mut transaction).await?;
        }
        let terms = to_json(terms)?;
        let armour = armour.map(to_json).transpose()?;
        transaction
            .execute(
                "cannot write the run into the ledger",
                "INSERT INTO kongferry.run (id, place, state, armed, program, terms, armour)
                 SELECT $1, coalesce(max(place), 0) + 1, 'loading', true, $2, $3::text::jsonb, $4::text::jsonb
                 FROM kongferry.run",
                &[&id, &env!("CARGO_PKG_VERSION"), &terms, &armour],
            )
            .await?;
        let ledger = Self::new(target.clone(), id);
        ledger.add_tasks(&mut transaction, tasks).await?;
        transaction.commit().await?;
        Ok(ledger)
    }

    /// Writes down whether the tables are armed, in the transaction that arms or disarms them.
    pub async fn set_armed(&self, transaction: &mut LoadTransaction, armed: bool) -> Result<()> {
        transaction
            .execute(
                "cannot write into the ledger whether the tables are armed",
                "UPDATE kongferry.run SET armed = $2 WHERE id = $1",
                &[&self.run, &armed],
            )
            .await
            .map(drop)
    }

    /// Ends the run, in the transaction that brought it there.
    ///
    /// # Errors
    /// `Target` also when it is to be done, and somebody else has undone or re-armed it.
    pub async fn end(&self, transaction: &mut LoadTransaction, state: RunState) -> Result<()> {
        let ended = transaction
            .execute(
                "cannot write the end of the run into the ledger",
                "UPDATE kongferry.run SET state = $2, ended_at = clock_timestamp(), done_txid = pg_catalog.txid_current()
                 WHERE id = $1 AND ($2 <> 'done' OR state IN ('loading', 'done'))",
                &[&self.run, &state.as_str()],
            )
            .await?;
        if ended == 0 { Err(super::taken_over()) } else { Ok(()) }
    }
}
