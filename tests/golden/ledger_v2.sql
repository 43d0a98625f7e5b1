-- ledger.db at version 2, as sqlite3's iterdump writes it; the two numbers below are not part of a dump.
PRAGMA application_id = 1279543122;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE children (
        client_order_id TEXT PRIMARY KEY,
        parent_id TEXT NOT NULL REFERENCES parents,
        sequence INTEGER NOT NULL CHECK (sequence > 0),
        symbol TEXT NOT NULL,
        side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
        quantity INTEGER NOT NULL CHECK (quantity > 0),
        kind TEXT NOT NULL CHECK (kind IN ('market', 'limit')),
        created_at TEXT NOT NULL,
        limit_price TEXT CHECK ((kind = 'limit') = (limit_price IS NOT NULL)),
        slice_index INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('intent', 'submitted', 'acked', 'partial', 'filled', 'cancelled', 'rejected', 'expired', 'unknown')),
        broker_order_id TEXT NOT NULL,
        filled INTEGER NOT NULL CHECK (filled >= 0),
        reported_filled INTEGER NOT NULL CHECK (reported_filled >= 0),
        submitted_at TEXT,
        cancel_asked_at TEXT,
        closed_at TEXT,
        reason TEXT NOT NULL,
        UNIQUE (parent_id, sequence)
    ) STRICT;
INSERT INTO "children" VALUES('20261120-ACME-0001-0001','20261120-ACME-0001',1,'ACME','buy',1000,'market','2026-11-20T14:31:00.000000+00:00',NULL,0,'filled','',1000,1000,'2026-11-20T14:31:00.000000+00:00',NULL,'2026-11-20T14:31:00.000000+00:00','');
CREATE TABLE equity_days (
        session TEXT PRIMARY KEY,
        capital TEXT NOT NULL,
        low TEXT NOT NULL,
        high TEXT NOT NULL,
        last TEXT NOT NULL,
        at TEXT NOT NULL
    ) STRICT;
INSERT INTO "equity_days" VALUES('2026-11-23','100000','-3100.00','-3100.00','-3100.00','2026-11-23T14:39:00.000000+00:00');
CREATE TABLE events (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        parent_id TEXT NOT NULL,
        client_order_id TEXT NOT NULL,
        details TEXT NOT NULL
    ) STRICT;
INSERT INTO "events" VALUES(1,'2026-11-20T14:31:00.000000+00:00','parent.added','20261120-ACME-0001','','{"algorithm":"auto","arrival_price":null,"arrived_at":null,"completed_at":null,"created_at":"2026-11-20T14:31:00.000000+00:00","deadline_policy":"expire","decided_at":null,"decision_price":null,"display_size":null,"limit_price":null,"lot_size":1,"max_participation":0.1,"min_slice":0,"not_after":null,"not_before":null,"parent_id":"20261120-ACME-0001","quantity":1000,"reason":"","reference":"a","risk_aversion":1e-06,"session":"2026-11-20","side":"buy","state":"new","strategy_id":"trend","symbol":"ACME","urgency":"medium"}');
INSERT INTO "events" VALUES(2,'2026-11-20T14:31:00.000000+00:00','parent.changed','20261120-ACME-0001','','{"state":"validated"}');
INSERT INTO "events" VALUES(3,'2026-11-20T14:31:00.000000+00:00','child.added','20261120-ACME-0001','20261120-ACME-0001-0001','{"broker_order_id":"","cancel_asked_at":null,"client_order_id":"20261120-ACME-0001-0001","closed_at":null,"created_at":"2026-11-20T14:31:00.000000+00:00","filled":0,"kind":"market","limit_price":null,"parent_id":"20261120-ACME-0001","quantity":1000,"reason":"","reported_filled":0,"sequence":1,"side":"buy","slice_index":0,"state":"intent","submitted_at":null,"symbol":"ACME"}');
INSERT INTO "events" VALUES(4,'2026-11-20T14:31:00.000000+00:00','fill.booked','20261120-ACME-0001','20261120-ACME-0001-0001','{"at":"2026-11-20T14:31:00.000000+00:00","broker":"paper","client_order_id":"20261120-ACME-0001-0001","execution_id":"20261120-ACME-0001-0001","fee":"0","price":"50","quantity":1000,"side":"buy","symbol":"ACME"}');
INSERT INTO "events" VALUES(5,'2026-11-20T14:31:00.000000+00:00','child.changed','20261120-ACME-0001','20261120-ACME-0001-0001','{"closed_at":"2026-11-20T14:31:00.000000+00:00","filled":1000,"reported_filled":1000,"state":"filled","submitted_at":"2026-11-20T14:31:00.000000+00:00"}');
CREATE TABLE facts (symbol TEXT PRIMARY KEY, as_of TEXT NOT NULL, facts TEXT NOT NULL) STRICT;
CREATE TABLE fills (
        broker TEXT NOT NULL,
        execution_id TEXT NOT NULL,
        client_order_id TEXT NOT NULL REFERENCES children,
        symbol TEXT NOT NULL,
        side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
        quantity INTEGER NOT NULL CHECK (quantity > 0),
        price TEXT NOT NULL,
        at TEXT NOT NULL,
        fee TEXT NOT NULL,
        PRIMARY KEY (broker, execution_id)
    ) STRICT;
INSERT INTO "fills" VALUES('paper','20261120-ACME-0001-0001','20261120-ACME-0001-0001','ACME','buy',1000,'50','2026-11-20T14:31:00.000000+00:00','0');
CREATE TABLE marks (
        symbol TEXT NOT NULL,
        session TEXT NOT NULL,
        price TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (symbol, session)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "marks" VALUES('ACME','2026-11-23','46.90','2026-11-23T14:39:00.000000+00:00');
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE parents (
        parent_id TEXT PRIMARY KEY,
        reference TEXT NOT NULL UNIQUE CHECK (reference <> ''),
        session TEXT NOT NULL,
        symbol TEXT NOT NULL,
        side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
        quantity INTEGER NOT NULL CHECK (quantity > 0),
        created_at TEXT NOT NULL,
        lot_size INTEGER NOT NULL,
        algorithm TEXT NOT NULL,
        urgency TEXT NOT NULL CHECK (urgency IN ('low', 'medium', 'high')),
        risk_aversion REAL NOT NULL,
        max_participation REAL NOT NULL,
        min_slice INTEGER NOT NULL,
        display_size INTEGER,
        limit_price TEXT,
        not_before TEXT,
        not_after TEXT,
        deadline_policy TEXT NOT NULL CHECK (deadline_policy IN ('expire', 'force')),
        strategy_id TEXT NOT NULL,
        decision_price TEXT,
        decided_at TEXT,
        arrival_price TEXT,
        arrived_at TEXT,
        state TEXT NOT NULL CHECK (state IN ('new', 'validated', 'working', 'paused', 'completed', 'expired', 'cancelled', 'killed', 'rejected')),
        reason TEXT NOT NULL,
        completed_at TEXT,
        last_sequence INTEGER NOT NULL DEFAULT 0
    ) STRICT;
INSERT INTO "parents" VALUES('20261120-ACME-0001','a','2026-11-20','ACME','buy',1000,'2026-11-20T14:31:00.000000+00:00',1,'auto','medium',1.0e-06,0.1,0,NULL,NULL,NULL,NULL,'expire','trend',NULL,NULL,NULL,NULL,'validated','',NULL,1);
CREATE TABLE plans (
        parent_id TEXT NOT NULL REFERENCES parents,
        number INTEGER NOT NULL CHECK (number > 0),
        made_at TEXT NOT NULL,
        plan TEXT NOT NULL,
        PRIMARY KEY (parent_id, number)
    ) STRICT;
CREATE TABLE pnl_daily (
        session TEXT NOT NULL REFERENCES pnl_sessions,
        strategy_id TEXT NOT NULL,
        symbol TEXT NOT NULL,
        quantity INTEGER NOT NULL,
        cost TEXT NOT NULL,
        price TEXT NOT NULL,
        priced_at TEXT NOT NULL,
        realised TEXT NOT NULL,
        unrealised TEXT NOT NULL,
        fees TEXT NOT NULL,
        PRIMARY KEY (session, strategy_id, symbol)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "pnl_daily" VALUES('2026-11-20','trend','ACME',1000,'50000','50','2026-11-20T14:31:00.000000+00:00','0','0','0');
CREATE TABLE pnl_sessions (
        session TEXT PRIMARY KEY,
        closed_at TEXT NOT NULL,
        calculated_at TEXT NOT NULL,
        event_number INTEGER NOT NULL,
        capital TEXT NOT NULL,
        realised TEXT NOT NULL,
        unrealised TEXT NOT NULL,
        fees TEXT NOT NULL,
        profit TEXT NOT NULL
    ) STRICT;
INSERT INTO "pnl_sessions" VALUES('2026-11-20','2026-11-20T21:00:00.000000+00:00','2026-11-20T21:01:00.000000+00:00',5,'100000','0','0','0','0');
CREATE TABLE risk_limits_hit (
        number INTEGER PRIMARY KEY,
        session TEXT NOT NULL,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        episode TEXT NOT NULL,
        value_pct TEXT NOT NULL,
        bound_pct TEXT NOT NULL,
        action TEXT NOT NULL CHECK (action IN ('alert', 'halt')),
        at TEXT NOT NULL,
        done_at TEXT
    ) STRICT;
INSERT INTO "risk_limits_hit" VALUES(1,'2026-11-23','daily_loss','','2026-11-23','3.10','3','halt','2026-11-23T14:39:00.000000+00:00','2026-11-23T14:39:00.000000+00:00');
CREATE INDEX parents_by_session ON parents (session);
CREATE INDEX children_open ON children (parent_id, sequence) WHERE (NOT state IN ('filled', 'cancelled', 'rejected', 'expired') OR reported_filled > filled);
CREATE INDEX fills_by_child ON fills (client_order_id);
CREATE INDEX fills_by_time ON fills (at);
CREATE INDEX events_by_parent ON events (parent_id);
CREATE TRIGGER events_refuse_update BEFORE update ON events BEGIN SELECT RAISE(ABORT, 'events are only ever added to'); END;
CREATE TRIGGER events_refuse_delete BEFORE delete ON events BEGIN SELECT RAISE(ABORT, 'events are only ever added to'); END;
CREATE TRIGGER fills_refuse_update BEFORE update ON fills BEGIN SELECT RAISE(ABORT, 'fills are only ever added to'); END;
CREATE TRIGGER fills_refuse_delete BEFORE delete ON fills BEGIN SELECT RAISE(ABORT, 'fills are only ever added to'); END;
CREATE INDEX risk_limits_hit_undone ON risk_limits_hit (number) WHERE done_at IS NULL;
CREATE INDEX risk_limits_hit_by_session ON risk_limits_hit (session);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',5);
COMMIT;
