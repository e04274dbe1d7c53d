//! Pages of rows: what may be filtered and sorted by in each listing, and the SQL for it.
//!
//! Names of columns come from the tables here, never from a request; what a request gives is bound as a value.

mod columns;
mod values;

pub(crate) use columns::{
    ENTITIES_LAUNCH_PLAN, ENTITIES_TASK, ENTITIES_WORKFLOW, EXECUTIONS, NAMED_ENTITIES, NODES, PROJECTS,
    SIGNALS, TASK_EXECUTIONS,
};

use crate::error::ApiError;
use crate::filter::{self, Filter, Function};
use crate::views::{Reader as _, Row};
use rusqlite::Connection;
use rusqlite::types::Value;
use skein_idl::flyteidl::admin;
use values::Kind;

/// One column that a request may name.
pub(crate) struct Column {
    /// What the request calls it.
    name: &'static str,
    /// What it is in SQL.
    sql: &'static str,
    /// What its values are.
    kind: Kind,
}

/// Columns of another entity that a filter may name, as `prefix.column`.
pub(crate) struct Join {
    prefix: &'static str,
    columns: &'static [Column],
    /// For rows that are not part of the listing's own: the frame of a test for existence, with `{}` for what they
    /// must fulfil together.
    exists: Option<&'static str>,
}

/// A listing: where its rows come from, and what may be asked of them.
pub(crate) struct Listing {
    /// The method's name, for messages.
    method: &'static str,
    /// What the original calls the entity in messages.
    alias: &'static str,
    /// Its own prefix in filters.
    prefix: &'static str,
    from: &'static str,
    columns: &'static [Column],
    joins: &'static [Join],
    /// The order when none is asked for, and among equals: total, so that pages do not overlap.
    order: &'static str,
}

/// What a request asks of a listing, beside its scope.
pub(crate) struct Query {
    filters: Vec<Filter>,
    sort: Option<admin::Sort>,
    limit: u32,
    offset: u64,
}

/// Rows of a listing.
pub(crate) struct Page<R> {
    /// The rows.
    pub(crate) rows: Vec<R>,
    /// Where the page began.
    offset: u64,
    /// Whether more follow.
    more: bool,
}

impl<R> Page<R> {
    /// Answers the rows as `make` gives them, as many as fit into `bytes_max`, and the token of the next page.
    ///
    /// # Errors
    /// [`ApiError::ResourceExhausted`] when not even one fits.
    pub(crate) fn fit<M: prost::Message>(
        self,
        bytes_max: usize,
        make: impl FnMut(R) -> M,
    ) -> Result<(Vec<M>, String), ApiError> {
        let made = self.rows.into_iter().map(make).collect();
        Page { rows: made, offset: self.offset, more: self.more }.fit_made(bytes_max)
    }

    /// The same for what is made already.
    ///
    /// # Errors
    /// As [`Page::fit`].
    pub(crate) fn fit_made(mut self, bytes_max: usize) -> Result<(Vec<R>, String), ApiError>
    where
        R: prost::Message,
    {
        let mut bytes = 0;
        // Each row costs its frame too: a tag and a length.
        let fitting = self.rows.iter().take_while(|row| {
            bytes += row.encoded_len() + 8;
            bytes <= bytes_max
        });
        let fitting = fitting.count();
        if fitting == 0 && !self.rows.is_empty() {
            let size = self.rows[0].encoded_len();
            return Err(ApiError::ResourceExhausted(format!(
                "one row of the list has {size} bytes, the limit of an answer is {bytes_max}"
            )));
        }
        let more = self.more || fitting < self.rows.len();
        self.rows.truncate(fitting);
        let token = if more { (self.offset + fitting as u64).to_string() } else { String::new() };
        Ok((self.rows, token))
    }

    /// Replaces the rows, one for one.
    pub(crate) fn with<T>(self, rows: Vec<T>) -> Page<T> {
        Page { rows, offset: self.offset, more: self.more }
    }

    /// Takes the rows out, and leaves what [`Page::with`] needs.
    pub(crate) fn take(&mut self) -> Vec<R> {
        std::mem::take(&mut self.rows)
    }
}

/// What a list request carries.
pub(crate) struct Asked<'r> {
    pub(crate) limit: u32,
    pub(crate) token: &'r str,
    pub(crate) filters: &'r str,
    pub(crate) sort_by: Option<&'r admin::Sort>,
}

impl Listing {
    /// Answers the tables that the rows come from, joined.
    pub(crate) const fn from(&self) -> &'static str {
        self.from
    }

    /// Checks what a request asks.
    ///
    /// # Errors
    /// [`ApiError::InvalidArgument`] in the words of the original.
    pub(crate) fn query(&self, asked: &Asked<'_>, rows_max: u32) -> Result<Query, ApiError> {
        if asked.limit == 0 {
            return Err(ApiError::invalid("invalid value for limit"));
        }
        let offset = match asked.token {
            "" => 0,
            token => token.parse::<u32>().map_err(|_| {
                let shown: String = token.chars().take(64).collect();
                ApiError::invalid(format!("invalid pagination token {shown} for {}", self.method))
            })?,
        };
        let filters = filter::parse(asked.filters).map_err(|error| ApiError::invalid(error.to_string()))?;
        for filter in &filters {
            self.condition(filter)?;
        }
        let sort = asked.sort_by.filter(|sort| !sort.key.is_empty()).cloned();
        if let Some(sort) = &sort {
            self.sort_column(sort)?;
        }
        Ok(Query { filters, sort, limit: asked.limit.min(rows_max), offset: u64::from(offset) })
    }

    /// Reads a page of the rows that fulfil `scope` (SQL with its values) and the query.
    ///
    /// # Errors
    /// [`ApiError::InvalidArgument`] for a filter that does not fit, or why the views cannot be read.
    pub(crate) fn page<R: Row>(
        &self,
        connection: &Connection,
        scope: (&str, Vec<Value>),
        query: &Query,
    ) -> Result<Page<R>, ApiError> {
        let (condition, mut values) = scope;
        let mut sql = format!("FROM {} WHERE ({condition})", self.from);
        let mut joined: Vec<(&Join, Vec<String>, Vec<Value>)> = Vec::new();
        for filter in &query.filters {
            let (join, test, mut bound) = self.condition(filter)?;
            let Some(join) = join.filter(|join| join.exists.is_some()) else {
                sql.push_str(&format!(" AND {test}"));
                values.append(&mut bound);
                continue;
            };
            match joined.iter_mut().find(|(known, _, _)| std::ptr::eq(*known, join)) {
                Some((_, tests, all)) => {
                    tests.push(test);
                    all.append(&mut bound);
                }
                None => joined.push((join, vec![test], bound)),
            }
        }
        for (join, tests, mut bound) in joined {
            let frame = join.exists.unwrap_or("{}");
            sql.push_str(&format!(" AND {}", frame.replace("{}", &tests.join(" AND "))));
            values.append(&mut bound);
        }
        sql.push_str(&format!(" ORDER BY {} LIMIT ? OFFSET ?", self.order_by(query)?));
        values.push(Value::Integer(i64::from(query.limit) + 1));
        values.push(Value::Integer(query.offset.cast_signed()));
        let mut rows: Vec<R> = connection.all(&sql, &values)?;
        let more = rows.len() > query.limit as usize;
        rows.truncate(query.limit as usize);
        Ok(Page { rows, offset: query.offset, more })
    }

    fn order_by(&self, query: &Query) -> Result<String, ApiError> {
        let Some(sort) = &query.sort else { return Ok(self.order.to_owned()) };
        let column = self.sort_column(sort)?;
        let direction = match sort.direction() {
            admin::sort::Direction::Descending => "DESC",
            admin::sort::Direction::Ascending => "ASC",
        };
        Ok(format!("{} {direction}, {}", column.sql, self.order))
    }

    fn sort_column(&self, sort: &admin::Sort) -> Result<&Column, ApiError> {
        let column = self.columns.iter().find(|column| column.name == sort.key);
        column.ok_or_else(|| {
            let shown: String = sort.key.chars().take(64).collect();
            ApiError::invalid(format!("invalid sort key '{shown}'"))
        })
    }

    /// Answers the SQL of one term with its values, and the join it belongs to.
    fn condition(&self, filter: &Filter) -> Result<(Option<&Join>, String, Vec<Value>), ApiError> {
        let (alias, name) = filter.field.split_once('.').unwrap_or((self.alias, &filter.field));
        let own = alias == self.alias || alias == self.prefix;
        let join = self.joins.iter().find(|join| join.prefix == alias);
        let columns = match join {
            Some(join) => join.columns,
            None if own => self.columns,
            None => &[],
        };
        let Some(column) = columns.iter().find(|column| column.name == name) else {
            let shown: String = format!("{alias}.{name}").chars().take(128).collect();
            return Err(ApiError::invalid(format!("'{shown}' is invalid filter")));
        };
        let values = filter.values.iter().map(|value| column.kind.read(&filter.field, value));
        let values = values.collect::<Result<Vec<Value>, ApiError>>()?;
        let sql = column.sql;
        let test = match filter.function {
            Function::Equal => format!("{sql} = ?"),
            Function::NotEqual => format!("{sql} <> ?"),
            Function::Greater => format!("{sql} > ?"),
            Function::GreaterOrEqual => format!("{sql} >= ?"),
            Function::Less => format!("{sql} < ?"),
            Function::LessOrEqual => format!("{sql} <= ?"),
            Function::Contains => format!("instr({sql}, ?) > 0"),
            Function::NotContains => format!("instr({sql}, ?) = 0"),
            Function::In => format!("{sql} IN ({})", vec!["?"; values.len()].join(", ")),
            Function::NotIn => format!("{sql} NOT IN ({})", vec!["?"; values.len()].join(", ")),
        };
        Ok((join, test, values))
    }
}

impl Query {
    /// Says whether a filter names `field`.
    pub(crate) fn mentions(&self, field: &str) -> bool {
        self.filters.iter().any(|filter| filter.field.rsplit('.').next() == Some(field))
    }
}
