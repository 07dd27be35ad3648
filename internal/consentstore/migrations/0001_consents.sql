-- The one row of codb_consent_store is the head: whoever writes locks it first
-- and moves it last, so that revisions become visible in their order.
CREATE TABLE codb_consent_store (
	one boolean PRIMARY KEY CHECK (one),
	id text NOT NULL,
	revision bigint NOT NULL
);

-- What holds now, one row a customer.
CREATE TABLE codb_consents (
	name text PRIMARY KEY,
	revision bigint NOT NULL,
	object jsonb NOT NULL
);

-- What was said when, and by whom; the change feed, too. Without an object the
-- customer was erased. Write makes a write that is tried again be made once.
CREATE TABLE codb_consent_revisions (
	revision bigint PRIMARY KEY,
	name text NOT NULL,
	at bigint NOT NULL,
	author text NOT NULL,
	write text NOT NULL,
	object jsonb
);

CREATE INDEX codb_consent_revisions_name ON codb_consent_revisions (name, revision);

CREATE INDEX codb_consent_revisions_write ON codb_consent_revisions (write);
