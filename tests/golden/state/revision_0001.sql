BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE alerts (
	id INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	severity TEXT NOT NULL, 
	text TEXT NOT NULL, 
	task TEXT, 
	raised_at TEXT NOT NULL, 
	cleared_at TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "alerts" VALUES(1,'disk.low','warning','3 % of the disk is free',NULL,'2026-11-20T20:00:00.000000Z',NULL);
INSERT INTO "alerts" VALUES(2,'heat','warning','81 degrees','','2026-11-19T20:00:00.000000Z','2026-11-19T20:10:00.000000Z');
CREATE TABLE decisions (
	id INTEGER NOT NULL, 
	at TEXT NOT NULL, 
	task TEXT NOT NULL, 
	slot TEXT, 
	reason TEXT, 
	failures TEXT NOT NULL, 
	until TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "decisions" VALUES(1,'2026-11-20T02:00:00.000000Z','optimize_execution','2026-11-20T02:00:00Z','MEMORY','[{"reason":"MEMORY","passed":false,"detail":"needs 900 MB, 310 MB free","needed":900.0,"available":310.0}]',NULL);
CREATE TABLE events (
	id INTEGER NOT NULL, 
	at TEXT NOT NULL, 
	name TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "events" VALUES(1,'2026-11-20T23:00:00.000000Z','mode.changed','{"from":"trading","to":"research"}');
CREATE TABLE scheduler_state (
	"key" TEXT NOT NULL, 
	value TEXT, 
	updated_at TEXT, 
	PRIMARY KEY ("key")
);
INSERT INTO "scheduler_state" VALUES('paused','"research"','2026-11-20T22:00:00.000000Z');
INSERT INTO "scheduler_state" VALUES('record/run_nightly_research','{"v":1,"last_success_at":"2026-11-19T07:15:30.250000Z","last_success_cycle":"2026-11-19","last_success_window":"2026-11-19/OVERNIGHT","last_started_at":"2026-11-20T23:00:00.000000Z","last_ended_at":"2026-11-20T01:00:00.000000Z","last_outcome":"checkpointed","attempt_cycle":"2026-11-23","attempt_slot":"once","attempts":1,"recent_failures":["2026-11-20T01:00:00.000000Z"]}','2026-11-20T23:00:00.000000Z');
INSERT INTO "scheduler_state" VALUES('record/execute_orders','{"v":1,"last_outcome":"unknown","last_slot":"2026-11-20T15:00:00.000000Z","unknown_since":"2026-11-20T15:00:00.000000Z"}','2026-11-20T15:00:05.000000Z');
CREATE TABLE sessions (
	exchange TEXT NOT NULL, 
	day TEXT NOT NULL, 
	open TEXT NOT NULL, 
	close TEXT NOT NULL, 
	break_start TEXT, 
	break_end TEXT, 
	early_close INTEGER NOT NULL, 
	source TEXT NOT NULL, 
	PRIMARY KEY (exchange, day)
);
INSERT INTO "sessions" VALUES('XNYS','2026-11-27','2026-11-27T14:30:00.000000Z','2026-11-27T18:00:00.000000Z',NULL,NULL,1,'pandas_market_calendars 5.1');
CREATE TABLE task_estimates (
	task TEXT NOT NULL, 
	log_mean FLOAT NOT NULL, 
	log_error FLOAT NOT NULL, 
	runs INTEGER NOT NULL, 
	memory_mb FLOAT NOT NULL, 
	memory_floor_mb FLOAT NOT NULL, 
	at_least_minutes FLOAT NOT NULL, 
	updated_at TEXT NOT NULL, 
	PRIMARY KEY (task)
);
INSERT INTO "task_estimates" VALUES('run_nightly_research',4.5,0.25,12,900.5,1500.0,30.0,'2026-11-19T07:15:31.000000Z');
CREATE TABLE task_runs (
	run_id TEXT NOT NULL, 
	task TEXT NOT NULL, 
	cycle TEXT NOT NULL, 
	slot TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	status TEXT NOT NULL, 
	pool TEXT NOT NULL, 
	pid INTEGER, 
	planned_at TEXT NOT NULL, 
	started_at TEXT, 
	ended_at TEXT, 
	outcome TEXT, 
	exit_code INTEGER, 
	duration_s FLOAT, 
	peak_memory_mb FLOAT, 
	reserved_mb FLOAT NOT NULL, 
	cpus INTEGER NOT NULL, 
	predicted_minutes FLOAT, 
	predicted_end TEXT, 
	stop_at TEXT, 
	stop_cause TEXT, 
	stop_asked_at TEXT, 
	filler INTEGER NOT NULL, 
	detail TEXT NOT NULL, 
	report TEXT NOT NULL, 
	log TEXT NOT NULL, 
	PRIMARY KEY (run_id), 
	CONSTRAINT uq_task_runs_identity UNIQUE (task, cycle, slot, attempt)
);
INSERT INTO "task_runs" VALUES('daily_report.2026-11-20.once.1','daily_report','2026-11-20','once',1,'ended','local',901,'2026-11-20T21:30:00.000000Z','2026-11-20T21:30:00.003000Z','2026-11-20T21:30:04.500000Z','succeeded',0,4.497,81.25,120.0,1,0.2,'2026-11-20T21:30:20.000000Z','2026-11-20T21:50:00.000000Z',NULL,NULL,0,'','{"pages":3}','logs/tasks/daily_report.log');
INSERT INTO "task_runs" VALUES('run_nightly_research.2026-11-23.once.1','run_nightly_research','2026-11-23','once',1,'running','local',4711,'2026-11-20T23:00:00.000000Z','2026-11-20T23:00:00.002500Z',NULL,NULL,NULL,NULL,NULL,1000.0,2,90.0,'2026-11-21T01:00:00.000000Z','2026-11-21T05:00:00.000000Z','reclaim','2026-11-20T23:40:00.000000Z',0,'','{}','logs/tasks/run_nightly_research.log');
INSERT INTO "task_runs" VALUES('refresh_eod_data.2026-11-23.once.2','refresh_eod_data','2026-11-23','once',2,'planned','local',NULL,'2026-11-20T22:59:00.000000Z',NULL,NULL,NULL,NULL,NULL,NULL,300.0,1,3.0,'2026-11-20T23:05:00.000000Z',NULL,NULL,NULL,1,'','{}','logs/tasks/refresh_eod_data.log');
CREATE INDEX ix_task_runs_planned_at ON task_runs (planned_at);
CREATE INDEX ix_task_runs_open ON task_runs (status) WHERE status != 'ended';
CREATE INDEX ix_decisions_task_at ON decisions (task, at);
CREATE INDEX ix_events_at ON events (at);
CREATE INDEX ix_alerts_key ON alerts ("key");
COMMIT;
