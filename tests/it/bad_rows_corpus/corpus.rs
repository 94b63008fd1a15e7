//! Reads `fixtures/bad-rows` and places its rows.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::keyspace::Keyspace;

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    Quarantine,
    Skip,
    Load,
}

/// Cells by column.
type Cells = BTreeMap<String, Value>;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub what: String,
    pub table: String,
    pub fate: Fate,
    pub class: Option<String>,
    pub rule: Option<String>,
    #[serde(default)]
    pub row: Cells,
    #[serde(default)]
    pub cql: BTreeMap<String, String>,
    #[serde(default)]
    pub gives: Cells,
    #[serde(default)]
    pub with: Vec<Further>,
    /// Set when the corpus is read.
    #[serde(skip)]
    pub id: String,
    #[serde(skip)]
    pub secret: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Further {
    pub table: String,
    pub row: Cells,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    tables: BTreeMap<String, String>,
    #[serde(default)]
    base: BTreeMap<String, Cells>,
    case: Vec<Case>,
}

/// Some of its files.
#[derive(Debug, Default)]
pub struct Corpus {
    pub cases: Vec<Case>,
    /// Statements that create tables, by side.
    pub tables: BTreeMap<String, String>,
    base: BTreeMap<String, Cells>,
}

impl Corpus {
    pub fn read(files: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bad-rows");
        let mut corpus = Self::default();
        for name in files {
            let text = std::fs::read_to_string(folder.join(name)).unwrap();
            let file: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            corpus.tables.extend(file.tables);
            for (table, cells) in file.base {
                corpus.base.entry(table).or_default().extend(cells);
            }
            corpus.cases.extend(file.case);
        }
        let stamp = uuid::Uuid::new_v4().simple().to_string();
        for (number, case) in corpus.cases.iter_mut().enumerate() {
            let given = case.row.get("id").and_then(Value::as_str).map(str::to_owned);
            case.id = given.unwrap_or_else(|| format!("bad00000-0000-4000-8000-{number:012}"));
            case.secret = format!("planted-{number:03}-{stamp}");
        }
        let mut names: Vec<&str> = corpus.cases.iter().map(|case| case.what.as_str()).collect();
        names.sort_unstable();
        names.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1], "two cases of one name"));
        corpus
    }

    /// What must not be said anywhere.
    pub fn secrets(&self) -> Vec<&str> {
        self.cases.iter().map(|case| case.secret.as_str()).collect()
    }

    /// Cases of a table with that fate.
    pub fn count(&self, table: &str, fate: Fate) -> u64 {
        let cases = self.cases.iter().filter(|case| case.table == table && case.fate == fate).count();
        let further = self.cases.iter().flat_map(|case| &case.with).filter(|row| row.table == table).count();
        let counted = if fate == Fate::Load { cases + further } else { cases };
        u64::try_from(counted).unwrap()
    }

    /// Writes all rows, those of `with` first.
    pub async fn place(&self, source: &Keyspace) {
        for case in &self.cases {
            for further in &case.with {
                let cells = self.cells(source, &further.table, &further.row, case);
                insert(source, &further.table, &cells, &BTreeMap::new()).await;
            }
            let cells = self.cells(source, &case.table, &case.row, case);
            insert(source, &case.table, &cells, &case.cql).await;
        }
    }

    fn cells(&self, source: &Keyspace, table: &str, row: &Cells, case: &Case) -> Cells {
        let mut cells = self.base.get(table).cloned().unwrap_or_default();
        let partitioned = ["services", "routes", "snis", "certificates", "ca_certificates"];
        if partitioned.contains(&table) {
            cells.insert("partition".to_owned(), json!(table));
        }
        cells.insert("id".to_owned(), json!("{id}"));
        cells.extend(row.clone());
        cells.into_iter().map(|(column, value)| (column, filled(&value, source, case))).collect()
    }
}

/// `value` with its placeholders filled in.
pub fn filled(value: &Value, source: &Keyspace, case: &Case) -> Value {
    match value {
        Value::String(text) if text == "NULL" => Value::Null,
        Value::String(text) => json!(
            text.replace("{ws}", &source.default_workspace.to_string())
                .replace("{id}", &case.id)
                .replace("{secret}", &case.secret)
                .replace("{deep}", &format!("{}{}", "[".repeat(20_000), "]".repeat(20_000)))
        ),
        Value::Array(values) => values.iter().map(|value| filled(value, source, case)).collect(),
        other => other.clone(),
    }
}

async fn insert(source: &Keyspace, table: &str, cells: &Cells, cql: &BTreeMap<String, String>) {
    let json =
        cells.keys().map(|column| (column, "fromJson(?)")).filter(|(column, _)| !cql.contains_key(*column));
    let terms: Vec<(&String, &str)> =
        json.chain(cql.iter().map(|(column, term)| (column, term.as_str()))).collect();
    let columns: Vec<String> = terms.iter().map(|(column, _)| format!("\"{column}\"")).collect();
    let values: Vec<&str> = terms.iter().map(|(_, term)| *term).collect();
    let bound: Vec<String> = cells
        .iter()
        .filter(|(column, _)| !cql.contains_key(*column))
        .map(|(_, value)| value.to_string())
        .collect();
    let statement =
        format!("INSERT INTO {{ks}}.{table} ({}) VALUES ({})", columns.join(", "), values.join(", "));
    source.execute(&statement, bound).await;
}
