-- psql's tour: what `psql -f` makes of the backend's schema and statements, of errors and of its own
-- habits. The statements come as variables, by their names in src/backend/db/sql.rs, and :schema is
-- the schema's file. A line that begins with `==` is one step.

\set QUIET off
\set VERBOSITY default
\set SHOW_CONTEXT never
\pset null 'NULL'

\echo == migrate
:MIGRATIONS_LOCK;
:MIGRATIONS_TABLE;
:MIGRATIONS_DONE;
BEGIN;
\i :schema
PREPARE migration_record (bigint, bigint) AS :MIGRATION_RECORD;
EXECUTE migration_record (1, 1700000000000);
COMMIT;
:MIGRATIONS_TABLE;
:MIGRATIONS_DONE;
:MIGRATIONS_UNLOCK;

\echo == nodes
PREPARE node_create (text) AS :NODE_CREATE;
PREPARE node_last (text) AS :NODE_LAST;
PREPARE node_begin (text, bigint) AS :NODE_BEGIN;
PREPARE node_life (text) AS :NODE_LIFE;
EXECUTE node_create ('gateway');
EXECUTE node_create ('gateway');
EXECUTE node_last ('gateway');
EXECUTE node_begin ('gateway', 0);
EXECUTE node_begin ('gateway', 0);
EXECUTE node_begin ('nobody', 0);
EXECUTE node_life ('gateway');

\echo == users
PREPARE user_create (text, text, text, text, bigint) AS :USER_CREATE;
PREPARE user_get (text, text) AS :USER_GET;
EXECUTE user_create ('acme', 'ana', '$argon2id$x', 'user,admin', 7);
EXECUTE user_create ('acme', 'ana', 'other', '', 8);
EXECUTE user_create ('acme', 'o''hara', E'back\\slash\ttab', 'größe', -1);
EXECUTE user_get ('acme', 'ana');
EXECUTE user_get ('acme', 'o''hara');
EXECUTE user_get ('acme', 'bob');

\echo == a thread, a stream and a run in one transaction
PREPARE thread_create (text, text, text, text, bigint) AS :THREAD_CREATE;
PREPARE thread_by_key (text, text, text) AS :THREAD_BY_KEY;
PREPARE thread_of_user (text, text, text) AS :THREAD_OF_USER;
PREPARE stream_create (text, text, text, text) AS :STREAM_CREATE;
PREPARE stream_activate (text, text, text, bigint) AS :STREAM_ACTIVATE;
PREPARE idem_claim (text, text, text, text, text, text, text, bigint) AS :IDEM_CLAIM;
PREPARE idem_get (text, text, text, text) AS :IDEM_GET;
PREPARE message_create (text, text, text, text, text, text, text, bigint) AS :MESSAGE_CREATE;
PREPARE run_create (text, text, text, text, text, text, text, bigint, bigint) AS :RUN_CREATE;
:BEGIN;
EXECUTE node_life ('gateway');
EXECUTE thread_create ('acme', 'thr_1', 'ana', 'main', 10);
EXECUTE stream_create ('acme', 'thr_1', 'ana', 'k3f9');
EXECUTE idem_claim ('acme', 'ana', 'run.start', 'key', 'hash', 'run_1', 'thr_1', 11);
EXECUTE stream_activate ('acme', 'thr_1', 'run_1', 1);
EXECUTE message_create ('acme', 'msg_1', 'thr_1', 'run_1', 'ana', 'user', 'How is it?', 12);
EXECUTE run_create ('acme', 'thr_1', 'run_1', 'ana', 'gateway', 'supervisor', 'pending', 1, 13);
:COMMIT;

\echo == the same key again
:BEGIN;
EXECUTE thread_create ('acme', 'thr_2', 'ana', 'main', 10);
EXECUTE thread_by_key ('acme', 'ana', 'main');
EXECUTE idem_claim ('acme', 'ana', 'run.start', 'key', 'hash', 'run_2', 'thr_1', 14);
EXECUTE idem_get ('acme', 'ana', 'run.start', 'key');
:ROLLBACK;
EXECUTE thread_of_user ('acme', 'ana', 'thr_1');
EXECUTE thread_of_user ('acme', 'bob', 'thr_1');
EXECUTE stream_activate ('acme', 'thr_1', 'run_2', 1);

\echo == events
PREPARE begins (text, text, text, bigint, jsonb, text, text, bigint, bigint) AS :EVENTS_BEGIN;
PREPARE appends (text, text, text, bigint, jsonb, text, text, bigint, bigint) AS :EVENTS_APPEND;
PREPARE ends (text, text, text, bigint, jsonb, text, text, bigint, bigint) AS :EVENTS_END;
PREPARE forces (text, text, text, bigint, jsonb, text, text, bigint, bigint) AS :EVENTS_FORCE;
EXECUTE begins ('acme', 'thr_1', 'run_1', 1,
    '[{"id": "e1", "type": "run.started", "data": {"b": [1, 2.50, null], "a": "ü\n"}}]',
    'ana', 'supervisor', 20, 1);
EXECUTE appends ('acme', 'thr_1', 'run_1', 1,
    '[{"id": "e2", "type": "token", "data": {}}, {"id": "e3", "type": "token", "data": {"x": ""}}]',
    'ana', 'supervisor', 21, 2);
EXECUTE appends ('acme', 'thr_1', 'run_1', 2, '[{"id": "e9", "type": "token", "data": 1}]',
    'ana', 'supervisor', 22, 1);
EXECUTE appends ('acme', 'thr_1', 'run_1', 1, '[{"id": "e3", "type": "token", "data": 1}]',
    'ana', 'supervisor', 22, 1);
EXECUTE ends ('acme', 'thr_1', 'run_1', 1, '[{"id": "e4", "type": "run.done", "data": {"n": 1e2}}]',
    'ana', 'supervisor', 23, 1);
EXECUTE forces ('acme', 'thr_1', 'run_1', 1, '[{"id": "e5", "type": "late", "data": null}]',
    'ana', 'supervisor', 24, 1);
SELECT event_id, seq, run_seq, event_type, payload FROM events ORDER BY seq;

\echo == finishing
PREPARE run_finish (text, text, text, text, bigint) AS :RUN_FINISH;
PREPARE run_outcome (text, text) AS :RUN_OUTCOME;
PREPARE runs_orphaned (text) AS :RUNS_ORPHANED;
PREPARE outbox_add (text, text, bigint, text, text, text, bigint) AS :OUTBOX_ADD;
PREPARE outbox_sent (text, text) AS :OUTBOX_SENT;
PREPARE outbox_clear (text) AS :OUTBOX_OF_NODE_CLEAR;
PREPARE stream_lock (text, text) AS :STREAM_LOCK;
EXECUTE runs_orphaned ('gateway');
:BEGIN;
EXECUTE stream_lock ('acme', 'thr_1');
EXECUTE run_finish ('acme', 'run_1', 'done', 'ok', 30);
EXECUTE run_finish ('acme', 'run_1', 'done', 'failed', 31);
EXECUTE outbox_add ('acme', 'thr_1', 4, 'run_1', 'run.done', 'gateway', 30);
:COMMIT;
EXECUTE run_outcome ('acme', 'run_1');
EXECUTE runs_orphaned ('gateway');
EXECUTE outbox_sent ('acme', 'run_1');
EXECUTE outbox_clear ('gateway');

\echo == reading
PREPARE streams_of_user (text, text) AS :STREAMS_OF_USER;
PREPARE stream_epoch (text, text) AS :STREAM_EPOCH;
PREPARE between (text, text, bigint, bigint) AS :EVENTS_BETWEEN;
PREPARE event_by_id (text, text, text) AS :EVENT_BY_ID;
PREPARE run_history (text, text) AS :RUN_HISTORY;
PREPARE events_of_run (text, text) AS :EVENTS_OF_RUN;
EXECUTE streams_of_user ('acme', 'ana');
EXECUTE stream_epoch ('acme', 'thr_1');
EXECUTE between ('acme', 'thr_1', 1, 3);
EXECUTE event_by_id ('acme', 'run_1', 'e3');
EXECUTE run_history ('acme', 'run_1');
EXECUTE events_of_run ('acme', 'run_1');
EXECUTE events_of_run ('acme', 'nothing');
:PROBE;

\echo == errors
INSERT INTO users VALUES ('acme', 'ana', '', '', 0);
\echo :LAST_ERROR_SQLSTATE :LAST_ERROR_MESSAGE
INSERT INTO users (tenant_id) VALUES ('acme');
\echo :ERROR :SQLSTATE :ROW_COUNT
SELECT * FROM nothing;
\echo :SQLSTATE
SELECT nothing
  FROM users;
SELEKT 1;
\echo :SQLSTATE
SELECT 1 +;
SELECT * FROM users WHERE created_ms = 'soon';
SELECT 1/0;
\echo :SQLSTATE
SELECT 9223372036854775807 + 1;
EXECUTE nobody;
EXECUTE user_get ('acme');
PREPARE user_get (text) AS SELECT $1;
SELECT 'x'::jsonb;
SELECT '{"a":}'::jsonb;

\echo == a failed block
BEGIN;
SELECT 1 AS one;
SELECT 1/0;
SELECT 2;
\echo :SQLSTATE
COMMIT;
COMMIT;
BEGIN;
BEGIN;
SAVEPOINT a;
SELECT 1/0;
ROLLBACK TO SAVEPOINT a;
SELECT 3;
RELEASE a;
ROLLBACK TO SAVEPOINT a;
ROLLBACK;

\echo == a script in one message
SELECT 1 AS a\; SELECT 2 AS b, NULL AS c\; SELECT 3 WHERE false;
CREATE TABLE t (id int PRIMARY KEY, v text)\; INSERT INTO t VALUES (1, 'x')\; SELECT 1/0;
SELECT * FROM t;
BEGIN\; CREATE TABLE t (id int PRIMARY KEY, v text)\; INSERT INTO t VALUES (1, 'x')\; COMMIT;
SELECT * FROM t;

\echo == implicit savepoints
\set ON_ERROR_ROLLBACK on
BEGIN;
INSERT INTO t VALUES (2, 'y');
INSERT INTO t VALUES (2, 'z');
INSERT INTO t VALUES (3, NULL);
COMMIT;
SELECT * FROM t ORDER BY id;
\set ON_ERROR_ROLLBACK off

\echo == without autocommit
\set AUTOCOMMIT off
INSERT INTO t VALUES (4, 'gone');
ROLLBACK;
INSERT INTO t VALUES (5, 'kept');
COMMIT;
\set AUTOCOMMIT on
SELECT * FROM t ORDER BY id;

\echo == variables
SELECT id AS found, v AS text FROM t WHERE id = 1 \gset
\echo :found :text
SELECT :found + 1 AS sum, :'text' AS literal, :"text" FROM (SELECT 'x' AS x) AS q;
SELECT 'SELECT ' || id || ' AS made' FROM t WHERE id < 3 ORDER BY id \gexec
SELECT id, v FROM t ORDER BY id \gx
SELECT 1 AS a, 2 AS b \gdesc
SELECT v, id, 'at' FROM t WHERE v IS NOT NULL ORDER BY id \crosstabview
\if :found
\echo yes
\endif

\echo == values as text
SELECT true AS t, false AS f, NULL::bool AS n;
SELECT 32767::int2, (-2147483648)::int4, 9223372036854775807::int8, 4294967295::oid;
SELECT 1.5::float4, 0.1::float8, '1e300'::float8, '-Infinity'::float8, 'NaN'::float8, -0.0::float8;
SELECT 0.1::float4 = 0.1 AS eq, 0.1::float4 + 0.2::float4 AS sum, pg_typeof(0.1::float4 + 0.2) AS t;
SELECT 1::float4 / 3::float4, 0.1::float4::numeric, (0.1::float8 + 0.2)::numeric, -0.1::float4;
SELECT sum(x), pg_typeof(sum(x)), avg(x) FROM (VALUES (0.1::float4), (0.2)) AS v (x);
SELECT 1e37::float4 * 100::float4;
SELECT '1e-50'::float4;
SELECT 123.4500::numeric, 12345678901234567890.12345::numeric(30, 5), 0::numeric(5, 2);
SELECT '', ' padded ', 'ab'::char(4) AS c, 'abcdef'::varchar(3) AS v, 'x'::name;
SELECT E'tab\tline\nend' AS lines, 'größe ✓' AS wide;
SELECT '\x00ff'::bytea, ''::bytea, 'a\\b'::bytea;
SELECT 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid;
SELECT '2024-02-29'::date, '23:59:59.999999'::time, '2024-02-29 12:00:00.5'::timestamp;
SELECT '2024-02-29 12:00:00.123456+02'::timestamptz, '1970-01-01'::timestamptz;
SELECT '1 year 2 mons -3 days 04:05:06.7'::interval, '0'::interval;
SELECT '{"b": 1, "a": [1, {"c": null}], "b": 2}'::jsonb, '{"b": 1,  "a":2}'::json, 'null'::jsonb;
SELECT '{1,NULL,3}'::int[], '{}'::text[], ARRAY['a', 'b,c', '"q"', NULL, '', 'null', 'x\y'];
SELECT '{"2024-01-01 00:00:00+00"}'::timestamptz[], '{t,f}'::bool[], '{"\\x00"}'::bytea[];

\echo == layouts
\pset format unaligned
SELECT id, v FROM t ORDER BY id;
\pset format csv
SELECT id, v FROM t ORDER BY id;
\pset tuples_only on
\pset format aligned
SELECT id, v FROM t ORDER BY id;
\pset tuples_only off

\echo == notifications
LISTEN news;
NOTIFY news, 'first';
BEGIN;
SELECT pg_notify('news', 'second');
NOTIFY news, 'third';
NOTIFY news, 'third';
COMMIT;
BEGIN;
NOTIFY news, 'never';
ROLLBACK;
UNLISTEN news;
NOTIFY news, 'unheard';

\echo == settings
SET application_name = 'tour';
SHOW application_name;
SET statement_timeout = '90s';
SHOW statement_timeout;
SET search_path TO public;
RESET statement_timeout;
SHOW statement_timeout;
BEGIN;
SET LOCAL lock_timeout = 250;
SHOW lock_timeout;
COMMIT;
SHOW lock_timeout;
SHOW transaction_isolation;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SHOW transaction_isolation;
INSERT INTO t VALUES (6, '');
ROLLBACK;
SET nothing = 1;
\encoding
SHOW client_encoding;
SHOW standard_conforming_strings;
SET client_min_messages = warning;
SET statement_timeout = 50;
SELECT pg_sleep(60);
\echo :SQLSTATE
DEALLOCATE user_get;
EXECUTE user_get ('acme', 'ana');
DEALLOCATE ALL;
EXECUTE user_create ('a', 'b', 'c', 'd', 1);

\echo == settings as drivers send them
BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY, DEFERRABLE;
SHOW transaction_read_only;
ROLLBACK;
START TRANSACTION ISOLATION LEVEL REPEATABLE READ READ WRITE NOT DEFERRABLE;
COMMIT;
SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ;
SHOW transaction_isolation;
SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;
SHOW default_transaction_read_only;
RESET ALL;
SET extra_float_digits = 3;
SET TIME ZONE 'UTC';
SHOW TIME ZONE;
SET NAMES 'UTF8';
SET client_encoding TO 'unicode';
SHOW client_encoding;
SET datestyle = 'ISO';
SHOW datestyle;
SET search_path = "$user", public;
SHOW search_path;
SET statement_timeout TO '120min';
SHOW statement_timeout;
SET statement_timeout = 'soon';
SET statement_timeout = -1;
SET statement_timeout = '1d';
SHOW statement_timeout;
SET LOCAL lock_timeout = 5;
SELECT set_config('lock_timeout', '7', false);
RESET nothing;
SHOW nothing;
ABORT;
END;
RESET ALL;

\echo == discarding
PREPARE kept (int, text, jsonb, bool) AS SELECT $1 AS i, $2 AS t, $3 AS j, $4 AS b;
EXECUTE kept (1 + 1, 'a' || 'b', '{"a": [1]}'::jsonb -> 'a', true);
EXECUTE kept (1.5, 2, NULL, 1 > 2);
EXECUTE kept (-3, $$dollar$$, E'"\\u00fc"', 'yes');
EXECUTE kept ('x', 'y', 'null', NULL);
EXECUTE kept (1, 'y', 2, NULL);
EXECUTE kept (now(), 'y', NULL, NULL);
EXECUTE kept (1, nothing, NULL, NULL);
EXECUTE kept (1 / 0, '', NULL, NULL);
LISTEN news;
SELECT pg_advisory_lock(7);
SET work_mem = '8MB';
SET app.tenant = 'acme';
BEGIN;
DISCARD ALL;
ROLLBACK;
DISCARD ALL;
NOTIFY news, 'unheard';
SELECT pg_advisory_unlock(7);
SHOW work_mem;
SHOW statement_timeout;
SHOW app.tenant;
EXECUTE kept (1, 'y', NULL, NULL);
SET lock_timeout = 7;
RESET ALL;
SHOW lock_timeout;
DISCARD PLANS;
DISCARD SEQUENCES;

\echo == clean up
DROP TABLE IF EXISTS nothing;
DROP TABLE t, users;
DROP TABLE t;
SELECT count(*) FROM streams;
\echo == done
