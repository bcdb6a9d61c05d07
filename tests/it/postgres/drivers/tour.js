// node-postgres's tour: the backend's schema and statements, the types in use and the driver's own
// habits. Usage: tour.js STATEMENTS, a JSON file with the backend's statements by name, and its
// SCHEMA. The server is the one that PGHOST and its like name. Each line that begins with `==` is
// one answer; the same server gives the same lines in every run.
'use strict';

const fs = require('fs');
const util = require('util');
const { Client, Pool } = require('pg');

const STATEMENTS = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const SCHEMA = fs.readFileSync(process.argv[3], 'utf8');

// What the server said of an error, but for the line of its own source.
function told(error) {
  const names = ['code', 'severity', 'message', 'detail', 'hint', 'position'];
  names.push('schema', 'table', 'column', 'constraint');
  const said = names.filter((name) => error[name] !== undefined);
  return 'error ' + said.map((name) => `${name}=${JSON.stringify(error[name])}`).join(' ');
}

function plain(value) {
  const options = { depth: 9, breakLength: Infinity, compact: true, maxStringLength: null };
  return util.inspect(value, { ...options, maxArrayLength: null });
}

// A result: its tag, how many rows it says, its columns with their types, and the rows.
function result(of) {
  if (Array.isArray(of)) return of.map(result).join(' ; ');
  const columns = of.fields.map((field) => `${field.name}:${field.dataTypeID}`).join(',');
  return `${of.command} ${of.rowCount} [${columns}] ${plain(of.rows)}`;
}

// Prints one answer: a result, a value, or the error that came instead.
async function answer(name, asked) {
  let said;
  try {
    const value = await asked;
    said = value && value.command !== undefined ? result(value) : value;
    if (Array.isArray(value) && value.every((one) => one && one.fields)) said = result(value);
    if (typeof said !== 'string') said = plain(said);
  } catch (error) {
    if (!error.code) throw error;
    said = told(error);
  }
  console.log(`== ${name}: ${said}`);
}

// Runs the backend's statements in one of the driver's ways.
function backendOf(client, tenant, way) {
  return (statement, ...values) => {
    const text = STATEMENTS[statement];
    let query = { text, values, ...way };
    if (way.named) query = { ...query, name: statement };
    if (values.length === 0) query = text;
    return answer(`${tenant} ${statement}`, client.query(query));
  };
}

async function migrate(client) {
  const ask = backendOf(client, 'migrate', {});
  await ask('MIGRATIONS_LOCK');
  await ask('MIGRATIONS_TABLE');
  await ask('MIGRATIONS_DONE');
  await ask('BEGIN');
  const made = await client.query(SCHEMA);
  await answer('schema', made.map((one) => one.command).join(' '));
  await ask('MIGRATION_RECORD', 1, 1700000000000);
  await ask('COMMIT');
  await ask('MIGRATIONS_DONE');
  await ask('MIGRATIONS_UNLOCK');
}

// The backend's first transaction, as far as a run of that key comes.
async function accept(ask, tenant, run, key) {
  await ask('BEGIN');
  await ask('NODE_LIFE', tenant);
  await ask('THREAD_CREATE', tenant, `thr_${run}`, 'ana', 'main', 10);
  await ask('THREAD_BY_KEY', tenant, 'ana', 'main');
  await ask('THREAD_OF_USER', tenant, 'ana', 'thr_1');
  await ask('IDEM_CLAIM', tenant, 'ana', 'start', key, 'hash', run, 'thr_1', 11);
  await ask('IDEM_GET', tenant, 'ana', 'start', key);
  if (run === '1') await ask('STREAM_CREATE', tenant, 'thr_1', 'ana', 'k3f9');
  await ask('STREAM_ACTIVATE', tenant, 'thr_1', run, 1);
  const text = "Wie geht's, größe \u{1f600}?";
  await ask('MESSAGE_CREATE', tenant, `m${run}`, 'thr_1', run, 'ana', 'user', text, 12);
  const values = [tenant, 'thr_1', run, 'ana', tenant, 'agent', 'pending', 1, 2 ** 40];
  await ask('RUN_CREATE', ...values);
  await ask(run === '1' ? 'COMMIT' : 'ROLLBACK');
}

async function events(ask, tenant) {
  const append = (statement, attempt, ...drafts) => {
    const json = JSON.stringify(drafts.map(([id, type, data]) => ({ id, type, data })));
    const values = [tenant, 'thr_1', '1', attempt, json, 'ana', 'agent', 20, drafts.length];
    return ask(statement, ...values);
  };
  await append('EVENTS_BEGIN', 1, ['e1', 'started', { b: [1, 2.5, null], a: 'ü"\n' }]);
  await append('EVENTS_APPEND', 1, ['e2', 'token', {}], ['e3', 'token', []]);
  await append('EVENTS_APPEND', 2, ['e9', 'token', 1]);
  await append('EVENTS_APPEND', 1, ['e3', 'token', 1]);
  await ask('PROBE');
  await append('EVENTS_END', 1, ['e4', 'done', null]);
  await append('EVENTS_FORCE', 1, ['e5', 'late', true]);
  await ask('EVENTS_BETWEEN', tenant, 'thr_1', 0, 3);
  await ask('EVENT_BY_ID', tenant, '1', 'e3');
  await ask('RUN_HISTORY', tenant, '1');
  await ask('EVENTS_OF_RUN', tenant, '1');
}

async function backend(client, tenant, way) {
  const ask = backendOf(client, tenant, way);
  await ask('NODE_CREATE', tenant);
  await ask('NODE_CREATE', tenant);
  await ask('NODE_LAST', tenant);
  await ask('NODE_BEGIN', tenant, 0);
  await ask('USER_CREATE', tenant, 'ana', '$argon2id$', 'user,admin', 7);
  await ask('USER_CREATE', tenant, 'ana', 'other', '', -8);
  await ask('USER_GET', tenant, 'ana');
  await ask('USER_GET', tenant, "bob'; --");
  await accept(ask, tenant, '1', 'key');
  await accept(ask, tenant, '2', 'key');
  await events(ask, tenant);
  await ask('STREAMS_OF_USER', tenant, 'ana');
  await ask('STREAM_EPOCH', tenant, 'thr_1');
  await ask('RUNS_ORPHANED', tenant);
  await ask('BEGIN');
  await ask('STREAM_LOCK', tenant, 'thr_1');
  await ask('RUN_FINISH', tenant, '1', 'done', 'ok', 30);
  await ask('RUN_FINISH', tenant, '1', 'done', 'failed', 31);
  await ask('OUTBOX_ADD', tenant, 'thr_1', 4, '1', 'done', tenant, 30);
  await ask('COMMIT');
  await ask('RUN_OUTCOME', tenant, '1');
  await ask('OUTBOX_SENT', tenant, '1');
  await ask('OUTBOX_OF_NODE_CLEAR', tenant);
}

const VALUES = [
  ['bool', [true, false]],
  ['int2', [0, -32768, 32767]],
  ['int4', [-2147483648, 2147483647]],
  ['int8', ['-9223372036854775808', '9223372036854775807']],
  ['oid', [0, 4294967295]],
  ['float4', [0, -1.5, Infinity, NaN]],
  ['float8', [0.1, -1e300, 5e-324, -Infinity, NaN]],
  ['numeric', ['0', '-0.00', '1e20', '-12345.6789', '0.00000001']],
  ['text', ['', 'a\'b"c\\d', 'größe \u{1f600}', ' \t\n', 'NULL']],
  ['varchar', ['', 'x'.repeat(300)]],
  ['bytea', [Buffer.alloc(0), Buffer.from([0, 1, 92, 39, 255])]],
  ['uuid', ['00000000-0000-0000-0000-000000000000', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11']],
  ['date', ['0001-01-01', '2000-02-29', '9999-12-31']],
  ['time', ['00:00', '23:59:59.999999', '24:00:00']],
  ['timestamp', ['0001-01-01 00:00', '1999-12-31 23:59:59.999999', 'infinity']],
  ['timestamptz', [new Date(0), new Date(Date.UTC(2024, 1, 29, 12, 0, 0, 5)), '-infinity']],
  ['interval', ['0', '1 year -2 mons 3 days -04:05:06.7', '40000 days']],
  ['jsonb', ['null', '{"b": 1, "a": [1.50, "ü", {}], "b": 2}', '"x"']],
  ['json', ['[]', ' {"b": 1, "b": 2}']],
];

// Each value there and back, alone and in an array, as text: in binary not every version of the
// driver sends what a server understands.
async function values(client) {
  const ask = (text, value) => client.query({ text, values: [value] });
  for (const [type, examples] of VALUES) {
    for (const value of [...examples, null]) {
      await answer(type, ask(`SELECT $1::${type} AS v`, value));
    }
    await answer(`${type} array`, ask(`SELECT $1::${type}[] AS v`, [...examples, null]));
    await answer(`${type} empty`, ask(`SELECT $1::${type}[] AS v`, []));
    const text = await ask(`SELECT $1::${type}::text AS v, pg_typeof($1::${type}) AS t`, null);
    await answer(`${type} null`, text);
  }
}

async function errors(client) {
  const fails = (name, text, values) => answer(name, client.query({ text, values }));
  await fails('syntax', 'SELECT 1 +');
  await fails('syntax in the middle', 'SELECT größe FRM users WHERE x = $1', [1]);
  await fails('no table', 'SELECT * FROM nothing');
  await fails('no column', 'SELECT user_id,\n nothing FROM users');
  await fails('no function', 'SELECT nothing($1)', ['x']);
  await fails('no operator', 'SELECT 1 + true');
  await fails('unique', "INSERT INTO users VALUES ('plain', 'ana', '', '', 0)");
  await fails('not null', 'INSERT INTO users (tenant_id) VALUES ($1)', ['plain']);
  await fails('bad value', 'SELECT * FROM users WHERE created_ms = $1', ['soon']);
  await fails('bad json', 'SELECT $1::jsonb', ['{"a":}']);
  await fails('bad date', 'SELECT $1::date', ['2023-02-29']);
  await fails('division', 'SELECT $1::int / $2::int', [1, 0]);
  await fails('overflow', 'SELECT $1::int8 + 1', ['9223372036854775807']);
  await fails('too few', 'SELECT $1::int, $2::int', [1]);
  await fails('too many', 'SELECT $1::int', [1, 2]);
  await fails('no type found', 'SELECT $1 IS NULL', [null]);
  await fails('two commands', 'SELECT $1::int; SELECT 2', [1]);
  await fails('after errors', 'SELECT $1::int AS v', [1]);
  await fails('an empty query', '');
  await fails('not in a block', 'SAVEPOINT a');
}

async function transactions(client, other) {
  const run = (name, text, values) => answer(name, client.query(text, values));
  await run('begin', 'BEGIN ISOLATION LEVEL REPEATABLE READ');
  await run('insert', 'INSERT INTO nodes VALUES ($1, $2) RETURNING *', ['kept', 1]);
  await run('savepoint', 'SAVEPOINT a');
  await run('twice', 'INSERT INTO nodes VALUES ($1, $2)', ['kept', 2]);
  await run('aborted', 'SELECT $1::int', [1]);
  await run('aborted, simple', 'SELECT 1');
  await run('back', 'ROLLBACK TO a');
  await run('goes on', 'SELECT life FROM nodes WHERE node = $1', ['kept']);
  await run('commit', 'COMMIT');
  await run('begin again', 'BEGIN ISOLATION LEVEL REPEATABLE READ');
  await run('seen', "SELECT life FROM nodes WHERE node = 'kept'");
  await answer('changed', other.query("UPDATE nodes SET life = 5 WHERE node = 'kept'"));
  await run('serialization', "UPDATE nodes SET life = life + 1 WHERE node = $1", ['kept']);
  await run('commit that is none', 'COMMIT');
  await run('read only', 'BEGIN READ ONLY');
  await run('refused', 'DELETE FROM nodes');
  await run('rollback', 'ROLLBACK');
  await run('lock', 'BEGIN; SELECT life FROM nodes WHERE node = \'kept\' FOR UPDATE');
  const busy = 'SELECT life FROM nodes WHERE node = $1 FOR UPDATE NOWAIT';
  await answer('busy', other.query(busy, ['kept']));
  await run('end', 'END');
}

// Statements that are asked for before the one ahead is answered.
async function queued(client) {
  const insert = 'INSERT INTO nodes VALUES ($1, $2) RETURNING life';
  const asked = [['q1', 1], ['q1', 2], ['q2', 3]].map((row) => client.query(insert, row));
  asked.push(client.query("SELECT count(*) FROM nodes WHERE node LIKE 'q%'"));
  const settled = await Promise.allSettled(asked);
  for (const one of settled) await answer('queued', one.value || Promise.reject(one.reason));
  const many = 'SELECT 1 AS a; UPDATE nodes SET life = 0 WHERE node = \'q2\'; SELECT \'x\' AS b';
  await answer('several', client.query(many));
  const half = "INSERT INTO nodes VALUES ('q3', 1); SELECT 1/0; SELECT 2";
  await answer('half', client.query(half));
  await answer('nothing of it', client.query("SELECT 1 FROM nodes WHERE node = 'q3'"));
  const rows = { text: 'SELECT node, life FROM nodes ORDER BY node', rowMode: 'array' };
  await answer('as arrays', client.query(rows));
}

async function prepared(client) {
  const query = { name: 'of life', text: 'SELECT node, $1::text AS t FROM nodes WHERE life = $2' };
  for (const values of [['a', 0], [null, 0], ['', -1]]) {
    await answer('named', client.query({ ...query, values }));
  }
  await answer('limited', client.query({ ...query, values: ['b', 0], rows: 1 }));
  await answer('taken', client.query('PREPARE "of life" AS SELECT 1'));
  await answer('executed', client.query('EXECUTE "of life" (\'x\', 0)'));
  await answer('deallocated', client.query('DEALLOCATE "of life"'));
  await answer('gone', client.query({ ...query, values: ['b', 0] }));
  await answer('a bad one', client.query({ name: 'bad', text: 'SELECT nothing', values: [] }));
  await answer('the same again', client.query({ name: 'bad', text: 'SELECT nothing', values: [] }));
}

async function notifications(client, other) {
  const heard = [];
  const notices = [];
  let last;
  const done = new Promise((resolve) => { last = resolve; });
  client.on('notice', (notice) => notices.push(`${notice.severity} ${notice.message}`));
  client.on('notification', ({ channel, payload, processId }) => {
    const who = [client, other].findIndex((one) => one.processID === processId);
    heard.push(`${channel} ${payload} ${who}`);
    if (payload === 'last') last();
  });
  await client.query('LISTEN news');
  await client.query('BEGIN; NOTIFY news, \'own\'; NOTIFY news; COMMIT');
  await other.query('SELECT pg_notify($1, $2)', ['news', 'ü']);
  await other.query("NOTIFY elsewhere, 'unheard'");
  await other.query("NOTIFY news, 'last'");
  await done;
  await answer('notifications', heard);
  await client.query('UNLISTEN *');
  await client.query('DROP TABLE IF EXISTS nothing; ROLLBACK');
  await answer('notices', notices);
}

// Cancels are asked for until one has hit; the session that they may hit late has no other query.
async function cancel(other) {
  const client = new Client();
  await client.connect();
  const sleeping = client.query('SELECT pg_sleep(60)');
  const cancelling = 'SELECT pg_cancel_backend($1)';
  const timer = setInterval(() => other.query(cancelling, [client.processID]), 50);
  await answer('cancelled', sleeping);
  clearInterval(timer);
  await client.end();
  const timed = new Client({ statement_timeout: 20, application_name: 'tour' });
  await timed.connect();
  await answer('timed out', timed.query('SELECT pg_sleep(60)'));
  await answer('goes on', timed.query("SELECT current_setting('statement_timeout')"));
  await answer('name', timed.query('SHOW application_name'));
  await timed.end();
}

async function pool() {
  const all = new Pool({ max: 3, options: '-c lock_timeout=1234' });
  const asked = [1, 2, 3, 4, 5, 6].map((n) => all.query('SELECT $1::int * 2 AS twice', [n]));
  const rows = (await Promise.all(asked)).map((one) => one.rows[0].twice);
  await answer('pool', rows);
  const client = await all.connect();
  await answer('settings', client.query('SHOW lock_timeout'));
  await answer('set', client.query("SELECT set_config('app.tenant', $1, false)", ['acme']));
  await answer('shown', client.query("SELECT current_setting('app.tenant') AS tenant"));
  await answer('discarded', client.query('DISCARD ALL'));
  await answer('again', client.query("SELECT current_setting('app.tenant', true) AS tenant"));
  await answer('settings again', client.query('SHOW lock_timeout'));
  client.release();
  await all.end();
}

async function tour() {
  const [client, other] = [new Client(), new Client()];
  await client.connect();
  await other.connect();
  await migrate(client);
  await backend(client, 'plain', {});
  await backend(client, 'named', { named: true });
  await backend(client, 'arrays', { rowMode: 'array' });
  await values(client);
  await errors(client);
  await transactions(client, other);
  await queued(client);
  await prepared(client);
  await notifications(client, other);
  await cancel(other);
  await client.end();
  await other.end();
  await pool();
  console.log('== done');
}

tour().catch((error) => {
  console.error(error);
  process.exit(1);
});
