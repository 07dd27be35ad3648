-- The one row of codb_ledger is the ledger's head. Whoever appends locks it
-- first and writes it last, so that sequences become visible in their order.
CREATE TABLE codb_ledger (
	one boolean PRIMARY KEY CHECK (one),
	id text NOT NULL,
	sequence bigint NOT NULL
);

-- One row a record; record is its JSON. At is in nanoseconds since 1970.
CREATE TABLE codb_contacts (
	sequence bigint PRIMARY KEY,
	key text NOT NULL UNIQUE,
	principal text NOT NULL,
	at bigint NOT NULL,
	record jsonb NOT NULL
);

CREATE INDEX codb_contacts_principal ON codb_contacts (principal, sequence);
