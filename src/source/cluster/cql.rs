//! The text of the queries that read rows. Values are always bound, never written into the text.

use std::fmt::Write as _;

use scylla::value::CqlValue;

use crate::source::{Range, SelectItem, Selection, Table};

/// A name as CQL takes it whatever it is: `group` is a keyword, others have upper-case letters.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The columns of `names`, quoted and separated by commas.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(quoted).collect::<Vec<_>>().join(", ")
}

/// `keyspace.table`, quoted.
pub(super) fn qualified(keyspace: &str, table: &str) -> String {
    format!("{}.{}", quoted(keyspace), quoted(table))
}

/// `token(...)` of the partition key, whose columns have to stand in key order.
pub(super) fn token(table: &Table) -> String {
    format!("token({})", listed(table.partition_key().map(|column| column.name.as_str())))
}

/// The query for `selection` inside `range`, and the values to bind.
pub(super) fn select(
    keyspace: &str,
    table: &Table,
    selection: &Selection,
    range: &Range,
) -> (String, Vec<CqlValue>) {
    let item = |item: &SelectItem| match item {
        SelectItem::Column(name) => quoted(name),
        SelectItem::Ttl(name) => format!("TTL({}) AS {}", quoted(name), quoted(&format!("ttl_{name}"))),
        SelectItem::WriteTime(name) => {
            format!("WRITETIME({}) AS {}", quoted(name), quoted(&format!("writetime_{name}")))
        }
    };
    let items: Vec<_> = selection.items.iter().map(item).collect();
    let mut cql = format!("SELECT {} FROM {}", items.join(", "), qualified(keyspace, &table.name));
    let mut values = Vec::new();
    let mut conditions = Vec::new();
    let mut condition = |left: &str, operator: &str, value: Option<CqlValue>| {
        if let Some(value) = value {
            conditions.push(format!("{left} {operator} ?"));
            values.push(value);
        }
    };
    match range {
        Range::Tokens { after, upto } => {
            let token = token(table);
            condition(&token, ">", after.map(CqlValue::BigInt));
            condition(&token, "<=", upto.map(CqlValue::BigInt));
        }
        Range::Slice { partition, after, upto } => {
            let key = listed(table.partition_key().map(|column| column.name.as_str()).take(1));
            let id = listed(table.clustering_key().map(|column| column.name.as_str()).take(1));
            condition(&key, "=", Some(CqlValue::Text(partition.clone())));
            condition(&id, ">", after.map(CqlValue::Uuid));
            condition(&id, "<=", upto.map(CqlValue::Uuid));
        }
    }
    for (place, condition) in conditions.iter().enumerate() {
        let joint = if place == 0 { "WHERE" } else { "AND" };
        let _ = write!(cql, " {joint} {condition}");
    }
    (cql, values)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::source::{Column, ColumnKind, CqlType};

    fn table(columns: &[(&str, CqlType, ColumnKind)]) -> Table {
        let column = |(name, ty, kind): &(&str, CqlType, ColumnKind)| Column {
            name: (*name).to_owned(),
            ty: ty.clone(),
            kind: *kind,
        };
        Table { name: "t".to_owned(), columns: columns.iter().map(column).collect(), default_time_to_live: 0 }
    }

    fn selection(items: Vec<SelectItem>) -> Selection {
        Selection { table: "t".to_owned(), items }
    }

    #[test]
    fn token_takes_all_columns_of_the_key_in_order() {
        let table = table(&[
            ("route_id", CqlType::Uuid, ColumnKind::PartitionKey),
            ("period", CqlType::Text, ColumnKind::PartitionKey),
            ("value", CqlType::Counter, ColumnKind::Regular),
        ]);
        let selection = selection(vec![SelectItem::Column("value".to_owned())]);
        let (cql, values) =
            select("kong", &table, &selection, &Range::Tokens { after: Some(-7), upto: Some(9) });
        assert_eq!(
            cql,
            "SELECT \"value\" FROM \"kong\".\"t\" WHERE token(\"route_id\", \"period\") > ? AND token(\"route_id\", \"period\") <= ?"
        );
        assert_eq!(values, [CqlValue::BigInt(-7), CqlValue::BigInt(9)]);
        let (cql, values) = select("kong", &table, &selection, &Range::Tokens { after: None, upto: None });
        assert_eq!((cql.as_str(), values.len()), ("SELECT \"value\" FROM \"kong\".\"t\"", 0));
    }

    #[test]
    fn a_slice_binds_the_partition_and_quotes_every_name() {
        let table = table(&[
            ("partition", CqlType::Text, ColumnKind::PartitionKey),
            ("id", CqlType::Uuid, ColumnKind::Clustering),
            ("Odd \"name", CqlType::Text, ColumnKind::Regular),
        ]);
        let selection = selection(vec![
            SelectItem::Column("Odd \"name".to_owned()),
            SelectItem::Ttl("Odd \"name".to_owned()),
        ]);
        let range = Range::Slice { partition: "routes".to_owned(), after: None, upto: Some(Uuid::nil()) };
        let (cql, values) = select("K", &table, &selection, &range);
        assert_eq!(
            cql,
            "SELECT \"Odd \"\"name\", TTL(\"Odd \"\"name\") AS \"ttl_Odd \"\"name\" FROM \"K\".\"t\" \
             WHERE \"partition\" = ? AND \"id\" <= ?"
        );
        assert_eq!(values, [CqlValue::Text("routes".to_owned()), CqlValue::Uuid(Uuid::nil())]);
    }
}
