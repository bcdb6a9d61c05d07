"""psycopg's tour: the backend's schema and statements, the types in use and the driver's own habits.

Usage: tour.py STATEMENTS, a JSON file with the backend's statements by name, and its SCHEMA. The
server is the one that libpq's environment names. Each line that begins with `==` is one answer; the
same server gives the same lines in every run.
"""

import json
import logging
import re
import sys
import threading
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import psycopg
from psycopg import IsolationLevel
from psycopg.rows import dict_row
from psycopg.types.json import Json, Jsonb

with open(sys.argv[1], encoding="utf-8") as file:
    STATEMENTS = json.load(file)


# What is left undone at the end of an aborted pipeline is no answer.
logging.disable()


def told(error):
    """What the server said of an error, but for the line of its own source."""
    diag = error.diag
    names = ["sqlstate", "severity", "message_primary", "message_detail", "message_hint"]
    names += ["statement_position", "schema_name", "table_name", "column_name", "constraint_name"]
    fields = [f"{name}={getattr(diag, name)!r}" for name in names if getattr(diag, name)]
    return f"{type(error).__name__} {' '.join(fields)}"


def answer(name, ask):
    """Prints one answer: a value, or the error that came instead."""
    try:
        value = ask()
    except psycopg.Error as error:
        value = told(error)
    print(f"== {name}: {value}")


def named(statement, style):
    """The backend's `$1` as psycopg's placeholder, in automatic, text or binary form."""
    return re.sub(r"\$(\d+)", rf"%(p\1){style}", STATEMENTS[statement])


class Backend:
    """Runs the backend's statements in one form of parameters and results."""

    def __init__(self, conn, tenant, style, **options):
        self.cursor = conn.cursor(**options)
        self.tenant, self.style = tenant, style

    def __call__(self, statement, *values):
        cursor = self.cursor
        values = {f"p{at}": value for at, value in enumerate(values, 1)}
        cursor.execute(named(statement, self.style), values or None)
        rows = cursor.fetchall() if cursor.description else None
        return f"{cursor.statusmessage} {rows}"

    def ask(self, statement, *values):
        answer(f"{self.tenant} {statement}", lambda: self(statement, *values))


def migrate(conn):
    run = Backend(conn, "migrate", "s")
    run.ask("MIGRATIONS_LOCK")
    run.ask("MIGRATIONS_TABLE")
    run.ask("MIGRATIONS_DONE")
    with open(sys.argv[2], encoding="utf-8") as schema, conn.transaction():
        answer("schema", lambda: conn.execute(schema.read()).statusmessage)
        run.ask("MIGRATION_RECORD", 1, 1_700_000_000_000)
    run.ask("MIGRATIONS_DONE")
    run.ask("MIGRATIONS_UNLOCK")


def accept(run, run_id, key):
    """The backend's first transaction, as far as a run of that key comes."""
    tenant, message = run.tenant, f"msg_{run_id}"
    run.ask("BEGIN")
    run.ask("NODE_LIFE", tenant)
    run.ask("THREAD_CREATE", tenant, f"thr_{run_id}", "ana", "main", 10)
    run.ask("THREAD_BY_KEY", tenant, "ana", "main")
    run.ask("THREAD_OF_USER", tenant, "ana", "thr_1")
    run.ask("IDEM_CLAIM", tenant, "ana", "start", key, "hash", run_id, "thr_1", 11)
    run.ask("IDEM_GET", tenant, "ana", "start", key)
    if run_id == "1":
        run.ask("STREAM_CREATE", tenant, "thr_1", "ana", "k3f9")
    run.ask("STREAM_ACTIVATE", tenant, "thr_1", run_id, 1)
    text = "Wie geht's, größe \U0001f600?"
    run.ask("MESSAGE_CREATE", tenant, message, "thr_1", run_id, "ana", "user", text, 12)
    values = [tenant, "thr_1", run_id, "ana", tenant, "agent", "pending", 1, 2**40]
    run.ask("RUN_CREATE", *values)
    run.ask("COMMIT" if run_id == "1" else "ROLLBACK")


def events(run):
    tenant = run.tenant

    def append(statement, attempt, *drafts):
        drafts = Jsonb([{"id": id, "type": kind, "data": data} for id, kind, data in drafts])
        values = [tenant, "thr_1", "1", attempt, drafts, "ana", "agent", 20, len(drafts.obj)]
        run.ask(statement, *values)

    append("EVENTS_BEGIN", 1, ("e1", "started", {"b": [1, 2.5, None], "a": 'ü"\n'}))
    append("EVENTS_APPEND", 1, ("e2", "token", {}), ("e3", "token", []))
    append("EVENTS_APPEND", 2, ("e9", "token", 1))
    append("EVENTS_APPEND", 1, ("e3", "token", 1))
    run.ask("PROBE")
    append("EVENTS_END", 1, ("e4", "done", None))
    append("EVENTS_FORCE", 1, ("e5", "late", True))
    run.ask("EVENTS_BETWEEN", tenant, "thr_1", 0, 3)
    run.ask("EVENT_BY_ID", tenant, "1", "e3")
    run.ask("RUN_HISTORY", tenant, "1")
    run.ask("EVENTS_OF_RUN", tenant, "1")


def backend(run):
    tenant = run.tenant
    run.ask("NODE_CREATE", tenant)
    run.ask("NODE_CREATE", tenant)
    run.ask("NODE_LAST", tenant)
    run.ask("NODE_BEGIN", tenant, 0)
    run.ask("USER_CREATE", tenant, "ana", "$argon2id$", "user,admin", 7)
    run.ask("USER_CREATE", tenant, "ana", "other", "", -8)
    run.ask("USER_GET", tenant, "ana")
    run.ask("USER_GET", tenant, "bob'; --")
    accept(run, "1", "key")
    accept(run, "2", "key")
    events(run)
    run.ask("STREAMS_OF_USER", tenant, "ana")
    run.ask("STREAM_EPOCH", tenant, "thr_1")
    run.ask("RUNS_ORPHANED", tenant)
    run.ask("BEGIN")
    run.ask("STREAM_LOCK", tenant, "thr_1")
    run.ask("RUN_FINISH", tenant, "1", "done", "ok", 30)
    run.ask("RUN_FINISH", tenant, "1", "done", "failed", 31)
    run.ask("OUTBOX_ADD", tenant, "thr_1", 4, "1", "done", tenant, 30)
    run.ask("COMMIT")
    run.ask("RUN_OUTCOME", tenant, "1")
    run.ask("OUTBOX_SENT", tenant, "1")
    run.ask("OUTBOX_OF_NODE_CLEAR", tenant)


EAST = timezone(timedelta(hours=5, minutes=30))
VALUES = [
    ("bool", [True, False]),
    ("int2", [0, -32768, 32767]),
    ("int4", [-(2**31), 2**31 - 1]),
    ("int8", [-(2**63), 2**63 - 1]),
    ("oid", [0, 2**32 - 1]),
    ("float4", [0.0, -1.5, float("inf"), float("nan")]),
    ("float8", [0.1, -1e300, 5e-324, float("-inf"), float("nan")]),
    ("numeric", [Decimal(text) for text in ["0", "-0.00", "1e20", "-12345.6789", "0.00000001"]]),
    ("text", ["", "a'b\"c\\d", "größe \U0001f600", " \t\n"]),
    ("varchar", ["", "x" * 300]),
    ("bytea", [b"", bytes(range(256))]),
    ("uuid", [UUID(int=0), UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), UUID(int=2**128 - 1)]),
    ("date", [date(1, 1, 1), date(2000, 2, 29), date(9999, 12, 31)]),
    ("time", [time(0, 0), time(23, 59, 59, 999_999)]),
    ("timestamp", [datetime(1, 1, 1), datetime(1999, 12, 31, 23, 59, 59, 999_999)]),
    (
        "timestamptz",
        [datetime(2024, 2, 29, 12, tzinfo=EAST), datetime(1970, 1, 1, tzinfo=timezone.utc)],
    ),
    ("interval", [timedelta(0), timedelta(-3, 7, 5), timedelta(days=40_000, hours=26)]),
    ("jsonb", [Jsonb(None), Jsonb({"b": 1, "a": [1.5, "ü", {}]}), Jsonb("x")]),
    ("json", [Json([]), Json({"b": 1, "a": None})]),
]


def values(conn):
    """Each value there and back, alone and in an array, in every form."""
    for ty, examples in VALUES:
        for form in ["t", "b"]:
            for binary in [False, True]:
                cursor = conn.cursor(binary=binary)

                def back(value, ty):
                    return cursor.execute(f"SELECT %{form}::{ty}", [value]).fetchone()[0]

                name = f"{ty} {form}{'tb'[binary]}"
                alone = [*examples, None]
                answer(name, lambda: [back(value, ty) for value in alone])
                answer(f"{name} array", lambda: back([*examples, None, examples[0]], f"{ty}[]"))
                answer(f"{name} empty", lambda: back([], f"{ty}[]"))
                answer(f"{name} any", lambda: cursor.execute(
                    f"SELECT %{form}::{ty} = ANY(%{form}::{ty}[])", [examples[0], examples]
                ).fetchone()[0])


def stored(conn):
    """A table of all types: what is written is read, and described."""
    columns = [f"c_{ty} {ty}" for ty, _ in VALUES] + ["v varchar(10)", "n numeric(10, 3)"]
    conn.execute(f"CREATE TABLE stored (id bigserial PRIMARY KEY, {', '.join(columns)})")
    first = [examples[-1] for _, examples in VALUES] + ["ten", Decimal("1.5")]
    marks = ", ".join(["%s"] * len(first))
    names = ", ".join(column.split()[0] for column in columns)
    insert = f"INSERT INTO stored ({names}) VALUES ({marks}) RETURNING id"
    for row in [first, [None] * len(first)]:
        answer("stored row", lambda: conn.execute(insert, row).fetchone())
    for binary in [False, True]:
        cursor = conn.cursor(binary=binary)
        cursor.execute("SELECT * FROM stored ORDER BY id")
        for column in cursor.description:
            size = (column.internal_size, column.precision, column.scale)
            print(f"   {column.name} {column.type_code} {size}")
        answer("stored rows", cursor.fetchall)
    too_long = "INSERT INTO stored (v) VALUES (%s)"
    answer("too long", lambda: conn.execute(too_long, ["eleven chars"]))
    too_big = "INSERT INTO stored (c_int2) VALUES (%s)"
    answer("too big", lambda: conn.execute(too_big, [70_000]))


def errors(conn):
    def fails(name, query, *values):
        answer(name, lambda: conn.execute(query, values or None).statusmessage)

    fails("syntax", "SELECT 1 +")
    fails("syntax in the middle", "SELECT größe FRM users WHERE x = %s", 1)
    fails("no table", "SELECT * FROM nothing")
    fails("no column", "SELECT user_id,\n nothing FROM users")
    fails("no function", "SELECT nothing(%s)", 1)
    fails("no operator", "SELECT 1 + true")
    fails("unique", "INSERT INTO users VALUES ('s', 'ana', '', '', 0)")
    fails("not null", "INSERT INTO users (tenant_id) VALUES (%s)", "s")
    fails("bad value", "SELECT * FROM users WHERE created_ms = %t", "soon")
    fails("bad json", "SELECT %t::jsonb", '{"a":}')
    fails("bad date", "SELECT %t::date", "2023-02-29")
    fails("bad uuid", "SELECT %t::uuid", "x")
    fails("division", "SELECT %s / %s", 1, 0)
    fails("overflow", "SELECT %s::int8 + %s", 2**63 - 1, 1)
    fails("bad array", "SELECT %t::int[]", "{1,")
    fails("two commands", "SELECT %s; SELECT 2", 1)
    fails("no such type", "SELECT 1::nothing")
    fails("an empty query", "")
    fails("unknown setting", "SET nothing = 1")
    fails("not in a block", "SAVEPOINT a")


def transactions(conn):
    def count():
        return conn.execute("SELECT count(*) FROM nodes").fetchone()

    def failing():
        with conn.transaction():
            conn.execute("INSERT INTO nodes VALUES ('gone', 1)")
            with conn.transaction():
                conn.execute("INSERT INTO nodes VALUES ('gone', 2)")

    def inner():
        with conn.transaction():
            conn.execute("INSERT INTO nodes VALUES ('kept', 1)")
            try:
                with conn.transaction():
                    conn.execute("INSERT INTO nodes VALUES ('kept', 2)")
            except psycopg.errors.UniqueViolation:
                pass
            with conn.transaction(force_rollback=True):
                conn.execute("INSERT INTO nodes VALUES ('not kept', 3)")
            return conn.info.transaction_status.name

    def aborted():
        with conn.transaction():
            try:
                conn.execute("SELECT 1 / 0")
            except psycopg.Error:
                pass
            return conn.execute("SELECT 1").fetchone()

    answer("nodes", count)
    answer("rolled back", failing)
    answer("kept", inner)
    answer("aborted", aborted)
    answer("nodes after", count)
    conn.autocommit = False
    answer("opened", lambda: (count(), conn.info.transaction_status.name))
    conn.rollback()
    conn.isolation_level, conn.read_only = IsolationLevel.REPEATABLE_READ, True
    answer("level", lambda: conn.execute("SHOW transaction_isolation").fetchone())
    answer("read only", lambda: conn.execute("DELETE FROM nodes"))
    conn.rollback()
    conn.isolation_level, conn.read_only = None, None
    conn.autocommit = True


def serialization(conn, other):
    """Two transactions that change one row under REPEATABLE READ."""
    conn.isolation_level = IsolationLevel.REPEATABLE_READ

    def second():
        with conn.transaction():
            seen = conn.execute("SELECT life FROM nodes WHERE node = 'kept'").fetchone()
            other.execute("UPDATE nodes SET life = life + 10 WHERE node = 'kept'")
            again = conn.execute("SELECT life FROM nodes WHERE node = 'kept'").fetchone()
            print(f"   {seen} {again}")
            conn.execute("UPDATE nodes SET life = life + 1 WHERE node = 'kept'")

    answer("serialization", second)
    conn.isolation_level = None
    answer("a lock", lambda: other.execute("SET lock_timeout = '20ms'").statusmessage)

    def blocked():
        with conn.transaction():
            conn.execute("SELECT 1 FROM nodes WHERE node = 'kept' FOR UPDATE")
            other.execute("SELECT 1 FROM nodes WHERE node = 'kept' FOR UPDATE")

    answer("lock time-out", blocked)


def prepared(conn):
    conn.prepare_threshold = 1
    for turn in range(4):
        answer(f"prepared {turn}", lambda: conn.execute(
            "SELECT life + %s, %s::text FROM nodes WHERE node = %s", [turn, None, "kept"]
        ).fetchall())
    conn.execute("ALTER TABLE nodes ADD COLUMN more int")
    answer("after a change", lambda: conn.execute("SELECT * FROM nodes", prepare=True).fetchone())
    conn.execute("ALTER TABLE nodes DROP COLUMN more")
    answer("deallocated", lambda: conn.execute("DEALLOCATE ALL").statusmessage)
    conn.prepare_threshold = None
    answer("discarded", lambda: conn.execute("DISCARD ALL").statusmessage)


def many(conn):
    cursor = conn.cursor()
    rows = [(f"many {at}", at) for at in range(5)]
    cursor.executemany("INSERT INTO nodes VALUES (%s, %s) RETURNING life", rows, returning=True)
    found = [cursor.fetchall()]
    while cursor.nextset():
        found += [cursor.fetchall()]
    answer("many", lambda: found)
    twice = [("many x", 1), ("many 1", 1)]
    insert = "INSERT INTO nodes VALUES (%s, %s)"
    answer("many fail", lambda: cursor.executemany(insert, twice))
    query = "SELECT life FROM nodes WHERE node LIKE 'many %%' ORDER BY life LIMIT %s"
    answer("stream", lambda: list(cursor.stream(query, [3])))
    answer("left", lambda: cursor.execute("SELECT count(*) FROM nodes").fetchone())
    cursor.execute("SELECT 1 AS a; UPDATE nodes SET life = 0 WHERE node LIKE 'many%'; SELECT 'x'")
    sets = [cursor.fetchall(), cursor.nextset(), cursor.rowcount, cursor.nextset()]
    answer("sets", lambda: [*sets, cursor.fetchall(), cursor.nextset()])
    dicts = conn.cursor(row_factory=dict_row)
    answer("dicts", lambda: dicts.execute("SELECT 1, 2 AS two, NULL AS none, now() = now()").fetchall())


def pipeline(conn):
    with conn.pipeline():
        cursors = [conn.execute("SELECT %s + 1", [at]) for at in range(5)]
        insert = conn.execute("INSERT INTO nodes VALUES ('pipe', 1)")
    answer("pipeline", lambda: [cursor.fetchone() for cursor in cursors])
    answer("pipeline insert", lambda: (insert.statusmessage, insert.rowcount))

    def failing():
        with conn.pipeline():
            conn.execute("INSERT INTO nodes VALUES ('pipe gone', 1)")
            conn.execute("INSERT INTO nodes VALUES ('pipe', 1)")
            conn.execute("INSERT INTO nodes VALUES ('pipe gone', 2)")

    def with_syncs():
        outcomes = []
        with conn.pipeline() as pipe:
            for node in ["pipe 1", "pipe", "pipe 2"]:
                try:
                    conn.execute("INSERT INTO nodes VALUES (%s, 1)", [node])
                    pipe.sync()
                    outcomes += ["kept"]
                except psycopg.Error as error:
                    outcomes += [type(error).__name__]
        return outcomes

    def in_transaction():
        with conn.transaction(), conn.pipeline():
            first = conn.execute("INSERT INTO nodes VALUES ('pipe 3', 1) RETURNING life")
            with conn.transaction():
                second = conn.execute("SELECT life FROM nodes WHERE node = 'pipe 3'")
            return first.fetchone(), second.fetchone()

    answer("pipeline fails", failing)
    answer("pipeline syncs", with_syncs)
    answer("pipeline in a transaction", in_transaction)
    names = "SELECT node FROM nodes WHERE node LIKE 'pipe%' ORDER BY node"
    answer("pipeline left", lambda: conn.execute(names).fetchall())


def notifications(conn, other):
    notices = []
    conn.add_notice_handler(lambda diag: notices.append((diag.severity, diag.message_primary)))
    conn.execute("LISTEN news")
    conn.execute("LISTEN \"Other news\"")
    heard, waited = [], []

    def hear(note):
        heard.append((note.channel, note.payload, note.pid == conn.info.backend_pid))

    # What comes with an answer goes to the handler, what comes by itself to who waits for it.
    conn.add_notify_handler(hear)
    with conn.transaction():
        conn.execute("NOTIFY news, 'mine'")
        conn.execute("NOTIFY news, 'mine'")
        conn.execute("SELECT pg_notify(%s, %s)", ["Other news", "ü"])
    conn.execute("SELECT 1")
    conn.remove_notify_handler(hear)
    with other.transaction():
        other.execute("SELECT pg_notify(%s, %s)", ["news", ""])
        other.execute("NOTIFY \"Other news\", 'last'")
    source = conn.notifies()
    for note in source:
        waited += [(note.channel, note.payload, note.pid == other.info.backend_pid)]
        if note.payload == "last":
            source.close()
    answer("waited", lambda: waited)
    answer("notifications", lambda: heard)
    conn.execute("UNLISTEN *")
    conn.execute("DROP TABLE IF EXISTS nothing")
    conn.execute("COMMIT")
    answer("notices", lambda: notices)


def cancel():
    """Cancels are sent until one has hit; none can hit the next session."""
    with psycopg.connect(autocommit=True) as conn:
        ended = threading.Event()

        def cancelling():
            while not ended.wait(0.05):
                conn.cancel()

        thread = threading.Thread(target=cancelling)
        thread.start()
        answer("cancelled", lambda: conn.execute("SELECT pg_sleep(60)"))
        ended.set()
        thread.join()
    with psycopg.connect(autocommit=True) as conn:
        conn.execute("SET statement_timeout = 20")
        answer("timed out", lambda: conn.execute("SELECT pg_sleep(60)"))
        conn.execute("RESET statement_timeout")
        answer("goes on", lambda: conn.execute("SELECT 1").fetchone())


def session():
    options = "-c statement_timeout=90000 -c DateStyle=ISO"
    arguments = {"options": options, "application_name": "tour", "client_encoding": "utf-8"}
    with psycopg.connect(**arguments) as conn:
        for name in ["application_name", "client_encoding", "server_encoding", "DateStyle"]:
            answer(name, lambda: conn.info.parameter_status(name))
        for name in ["IntervalStyle", "integer_datetimes", "is_superuser", "in_hot_standby"]:
            answer(name, lambda: conn.info.parameter_status(name))
        for name in ["session_authorization", "standard_conforming_strings", "TimeZone"]:
            answer(name, lambda: conn.info.parameter_status(name))
        answer("version", lambda: conn.info.server_version // 10_000)
        answer("timeout", lambda: conn.execute("SHOW statement_timeout").fetchone())
        answer("user", lambda: conn.execute("SELECT current_user, current_database()").fetchone())
        conn.execute("SET application_name TO 'other'")
        answer("told", lambda: conn.info.parameter_status("application_name"))
        conn.rollback()
        answer("told again", lambda: conn.info.parameter_status("application_name"))
    answer("ended", lambda: conn.execute("SELECT 1"))
    for option in ["nothing=1", "statement_timeout=soon", "row_security=perhaps"]:
        try:
            psycopg.connect(options=f"-c {option}")
        except psycopg.OperationalError as error:
            # Before it the driver names the server's port.
            print(f"== refused: {str(error).split('FATAL:')[-1].strip()}")


def tour():
    with psycopg.connect(autocommit=True) as conn, psycopg.connect(autocommit=True) as other:
        conn.prepare_threshold = None
        migrate(conn)
        for tenant, style, binary in [("s", "s", False), ("t", "t", False), ("b", "b", True)]:
            backend(Backend(conn, tenant, style, binary=binary))
        client = psycopg.ClientCursor
        with psycopg.connect(autocommit=True, cursor_factory=client) as by_text:
            backend(Backend(by_text, "client", "s"))
        values(conn)
        stored(conn)
        errors(conn)
        transactions(conn)
        serialization(conn, other)
        prepared(conn)
        many(conn)
        pipeline(conn)
        notifications(conn, other)
    cancel()
    session()
    print("== done")


tour()
