//! A deterministic PostgreSQL: the real protocol, SQL, and PostgreSQL's row versions and locks,
//! over any [`Env`](crate::env::Env), so that it serves in the world and on real sockets.
//! Must never draw time, randomness or concurrency from anywhere but its environment.
//!
//! Reading order: `serve` (connections), `protocol` (messages, sessions), `sql` (text to plan),
//! `exec` (plan to rows), `storage` (versions, locks, transactions), `types` (values). What is SQL
//! is told by `sql::grammar`, what a call means by `sql::resolve`, both by PostgreSQL's own tables.
//!
//! What is there:
//!
//! - Definitions: CREATE, ALTER and DROP TABLE with defaults, PRIMARY KEY, UNIQUE, INCLUDE, CHECK,
//!   FOREIGN KEY with actions and deferral, NOT VALID and VALIDATE; CREATE TABLE AS; unique,
//!   partial and expression indexes; sequences, serial, identity and stored generated columns;
//!   roles, GRANT and REVOKE, row-level security policies; TRUNCATE.
//! - Functions of one value: CREATE [OR REPLACE] and DROP FUNCTION, in SQL and in PL/pgSQL with
//!   DECLARE, assignment, IF, LOOP, WHILE, EXIT, CONTINUE, RAISE, PERFORM, RETURN, statements with
//!   INTO, nested blocks and EXCEPTION; they wait, and see rows, as PostgreSQL's do, also as keys
//!   of indexes.
//! - Statements: INSERT with OVERRIDING and ON CONFLICT, UPDATE with FROM and rows as sources,
//!   DELETE with USING, RETURNING; SELECT with joins, LATERAL, subqueries, WITH (recursive, and
//!   writing ones), aggregates, GROUP BY, HAVING, DISTINCT (ON), UNION, EXCEPT, INTERSECT, one
//!   set-returning function a select list, ORDER BY, LIMIT, OFFSET, the four row locks with NOWAIT
//!   and SKIP LOCKED; PREPARE, EXECUTE, SET, SHOW, LOCK TABLE, LISTEN, NOTIFY.
//! - Types: bool, int2, int4, int8, float4, float8, numeric, text, varchar, char, bytea, uuid,
//!   date, time, timestamp, timestamptz, interval, json, jsonb, and arrays of one dimension of
//!   them, with the functions and operators in the tables of `exec::functions`.
//! - Concurrency: READ COMMITTED and REPEATABLE READ, FIFO queues, deadlock detection, savepoints,
//!   advisory locks, time-outs, cancel requests.
//! - Both query protocols, text and binary, portals with row limits; some columns of `pg_locks` and
//!   `pg_stat_activity`.
//!
//! What is not is refused with 0A000 and its name: SERIALIZABLE, COPY, cursors in SQL, EXPLAIN,
//! views, functions that give sets or take anything but plain values (and of PL/pgSQL FOR, CASE,
//! EXECUTE, records, cursors), procedures, triggers, DO, schemas but `public`, other system
//! catalogues, system columns, types of one's own, temporary, partitioned and inherited tables,
//! SELECT INTO, ALTER COLUMN TYPE of a column that more than keys read, ALTER SEQUENCE, MERGE,
//! window functions, regular expression functions, FULL JOIN with USING, TABLESAMPLE, arrays of
//! arrays, NaN and infinity of numeric, dates and times in a session with a time zone but UTC or
//! with a date or interval style but ISO and postgres, encodings but UTF8, two-phase commit;
//! aggregates of a query around, USING of columns of different types, DISTINCT ON of groups, the
//! order of volatile expressions, more than 400 operators in a row; precision of times and
//! intervals, roots and powers of numeric, letters beyond ASCII in another case, reading a part of
//! json, MATCH FULL, keys that are DEFERRABLE, SET CONSTRAINTS, settings that would have an effect;
//! overloads that the tables have not, operators of rows, comparing arrays of `char`, regclass in a
//! result, a width in `format()`, `to_char` of anything but times in digits, LIKE ANY of a query;
//! changing what a policy's query may read, DROP INDEX of a table that a query around uses,
//! variables in CREATE TABLE AS, columns in ON DELETE SET, COMMENT ON anything but tables, columns,
//! indexes, sequences and the schema; BETWEEN SYMMETRIC; a new column with a default that counts,
//! beside other values that ALTER TABLE works out, writing the table within it; `OPERATOR(…)` of
//! schemas of one's own or before one operand; comparing rows within rows, GROUP BY of a parameter
//! without a type.
//!
//! Where it answers otherwise than PostgreSQL, and why:
//!
//! - How often an IMMUTABLE function of one's own is called with constants alone, which only its
//!   notices show: once a statement.
//! - What PostgreSQL reads first of a table and a WITH query that it joins: here it is the WITH
//!   query, as a whole (refused under a LIMIT where that shows otherwise than by an error).
//! - The order of rows that a hash join, a semi-join or hashed groups give without ORDER BY is the
//!   planner's: here it is that of nested loops and of first appearance; rows that UPDATE finds by
//!   an index are written in the heap's order, and the room of dead rows is not used again. Every
//!   row is tested before it is sorted: a planner that goes by an index stops at the LIMIT.
//! - What PostgreSQL keeps: a session that has planned with an index goes on when its function is
//!   gone, and after five executions a plan may be for any parameters; here it is always anew.
//! - An open portal keeps its tables from being changed also if no row can be in its result, so
//!   that the planner reads none of them.
//! - The error that ends a wait for a row has no context that says where the row lies.
//! - Of errors: which of several duplicates CREATE UNIQUE INDEX names, and of two faults of one
//!   statement which is told, where they are in different parts of it.

mod error;
mod exec;
mod injection;
mod protocol;
mod serve;
mod sql;
mod storage;
mod store;
mod types;
mod watch;

pub use error::PgError;
pub use injection::{Injected, Injection};
pub use serve::{serve, serve_on};
pub use storage::Isolation;
pub use store::{Settings, Store};
pub use watch::{Cause, Change, Op, Wanted, Watch, Written, names};
